"""The vocabulary of the server: what a model can be asked, and what it answers.

A task is a type of request and a type of result. A family says for each task that its models serve which function
answers it (`models.family.TaskFunction`). The function takes a whole batch and returns one result for each request, in
order. Each request carries its own parameters, so requests that differ in them still share a batch. Tensors of requests
and results are on the CPU: in float32, or in float64 for items whose values have no limits, and what is computed with
these.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from models.tasks import audio, autoencoding, classification, generation, sentences, text


class Request(Protocol):
    """The part of a request that the engine needs to form batches."""

    @property
    def cost(self) -> int:
        """Return the number of elements or tokens that this request adds to a batch."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the server.

    Attributes:
        name: the name of the route, with underscores in place of hyphens.
        request: the type of its requests.
        result: the type of its results.
        by_steps: whether results are generated token by token. The server gives such requests to a
            `models.generation.running_batch.RunningBatch`, which sequences of several callers join and leave between
            steps; the task's function generates a batch to its end.
    """

    name: str
    request: type[Any]
    result: type[Any]
    by_steps: bool = False

    @property
    def path(self) -> str:
        """Return the path of the route."""
        return "/" + self.name.replace("_", "-")


ENCODE = Task("encode", autoencoding.EncodeRequest, autoencoding.EncodeResult)
DECODE = Task("decode", autoencoding.DecodeRequest, autoencoding.DecodeResult)
RECONSTRUCT = Task("reconstruct", autoencoding.ReconstructRequest, autoencoding.ReconstructResult)
DENOISE = Task("denoise", autoencoding.DenoiseRequest, autoencoding.DenoiseResult)
SAMPLE = Task("sample", autoencoding.SampleRequest, autoencoding.SampleResult)
INTERPOLATE = Task("interpolate", autoencoding.InterpolateRequest, autoencoding.InterpolateResult)
DETECT_ANOMALIES = Task("detect_anomalies", autoencoding.DetectAnomaliesRequest, autoencoding.DetectAnomaliesResult)
IMPUTE = Task("impute", autoencoding.ImputeRequest, autoencoding.ImputeResult)
COMPRESS = Task("compress", autoencoding.CompressRequest, autoencoding.CompressResult)
DECOMPRESS = Task("decompress", autoencoding.DecompressRequest, autoencoding.DecompressResult)
PROJECT = Task("project", autoencoding.ProjectRequest, autoencoding.ProjectResult)
CLASSIFY = Task("classify", classification.ClassifyRequest, classification.ClassifyResult)

ENCODE_SOUND = Task("encode", audio.EncodeSoundRequest, audio.EncodeSoundResult)
DECODE_SOUND = Task("decode", audio.DecodeSoundRequest, audio.DecodeSoundResult)
RECONSTRUCT_SOUND = Task("reconstruct", audio.ReconstructSoundRequest, audio.ReconstructSoundResult)
COMPRESS_SOUND = Task("compress", audio.CompressSoundRequest, audio.CompressSoundResult)
DECOMPRESS_SOUND = Task("decompress", audio.DecompressSoundRequest, audio.DecompressSoundResult)
CLASSIFY_SOUND = Task("classify", audio.ClassifySoundRequest, classification.ClassifyResult)
DENOISE_SOUND = Task("denoise", audio.DenoiseSoundRequest, audio.DenoiseSoundResult)
DETECT_SOUND_ANOMALIES = Task("detect_anomalies", audio.DetectSoundAnomaliesRequest, autoencoding.DetectAnomaliesResult)
PROJECT_SOUNDS = Task("project", audio.ProjectSoundsRequest, autoencoding.ProjectResult)

RECONSTRUCT_SENTENCE = Task("reconstruct", autoencoding.ReconstructRequest, sentences.ReconstructSentenceResult)
DENOISE_SENTENCE = Task("denoise", sentences.DenoiseSentenceRequest, sentences.DenoiseSentenceResult)
IMPUTE_SENTENCE = Task("impute", sentences.ImputeSentenceRequest, autoencoding.ImputeResult)

ENCODE_TEXT = Task("encode", text.EncodeTextRequest, text.EncodeTextResult)
FILL_MASK = Task("fill_mask", text.FillMaskRequest, text.FillMaskResult)
CLASSIFY_TEXT = Task("classify", text.ClassifyTextRequest, classification.ClassifyResult)
CLASSIFY_TOKENS = Task("classify_tokens", text.ClassifyTokensRequest, text.ClassifyTokensResult)
ANSWER = Task("answer", text.AnswerRequest, text.AnswerResult)
GENERATE = Task("generate", generation.GenerateRequest, generation.GenerateResult, by_steps=True)
TRANSLATE = Task("translate", generation.GenerateRequest, generation.GenerateResult, by_steps=True)
SCORE_TEXT = Task("score_text", text.ScoreTextRequest, text.ScoreTextResult)
SIMILARITY = Task("similarity", text.SimilarityRequest, text.SimilarityResult)
RERANK = Task("rerank", text.RerankRequest, text.RerankResult)
RERANK_PAIRS = Task("rerank", text.RerankPairsRequest, text.RerankResult)
PROJECT_TEXTS = Task("project", text.ProjectTextsRequest, autoencoding.ProjectResult)
ATTEND = Task("attend", text.AttendRequest, text.AttendResult)
