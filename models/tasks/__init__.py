"""The vocabulary of the server: what a model can be asked, and what it answers.

A task is a request, a result and a Protocol with one method named like the task. The method takes a whole batch and
returns one result a request, in order; each request carries its own parameters, so requests that differ in them still
share a batch. Tensors of requests and results live on the CPU in float32; a model moves them where it runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from models.tasks import autoencoding as a
from models.tasks import text as t


class Request(Protocol):
    """What every request has."""

    @property
    def cost(self) -> int:
        """Elements or tokens this request adds to a batch."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One verb of the server. `name` is the route's, with underscores for hyphens.

    A task `by_steps` makes sequences token by token. The server runs it through `model.generation()`, so that sequences
    of many callers join and leave between steps; the method runs a batch to its end.
    """

    name: str
    request: type[Any]
    result: type[Any]
    protocol: type[Any]
    by_steps: bool = False

    def run(self, model: object, requests: Sequence[Any]) -> Sequence[Any]:
        """Ask `model` once for the whole batch."""
        results: Sequence[Any] = getattr(model, self.name)(requests)
        return results

    @property
    def path(self) -> str:
        """The route."""
        return "/" + self.name.replace("_", "-")


ENCODE = Task("encode", a.EncodeRequest, a.EncodeResult, a.Encodes)
DECODE = Task("decode", a.DecodeRequest, a.DecodeResult, a.Decodes)
RECONSTRUCT = Task("reconstruct", a.ReconstructRequest, a.ReconstructResult, a.Reconstructs)
DENOISE = Task("denoise", a.DenoiseRequest, a.DenoiseResult, a.Denoises)
SAMPLE = Task("sample", a.SampleRequest, a.SampleResult, a.Samples)
INTERPOLATE = Task("interpolate", a.InterpolateRequest, a.InterpolateResult, a.Interpolates)
DETECT_ANOMALIES = Task("detect_anomalies", a.DetectAnomaliesRequest, a.DetectAnomaliesResult, a.DetectsAnomalies)
IMPUTE = Task("impute", a.ImputeRequest, a.ImputeResult, a.Imputes)
COMPRESS = Task("compress", a.CompressRequest, a.CompressResult, a.Compresses)
DECOMPRESS = Task("decompress", a.DecompressRequest, a.DecompressResult, a.Decompresses)
PROJECT = Task("project", a.ProjectRequest, a.ProjectResult, a.Projects)
CLASSIFY = Task("classify", a.ClassifyRequest, a.ClassifyResult, a.Classifies)

AUTOENCODER_TASKS = (
    ENCODE,
    DECODE,
    RECONSTRUCT,
    DENOISE,
    SAMPLE,
    INTERPOLATE,
    DETECT_ANOMALIES,
    IMPUTE,
    COMPRESS,
    DECOMPRESS,
    PROJECT,
)
"""What every autoencoder can be asked."""

ENCODE_TEXT = Task("encode", t.EncodeTextRequest, t.EncodeTextResult, t.EncodesTexts)
FILL_MASK = Task("fill_mask", t.FillMaskRequest, t.FillMaskResult, t.FillsMasks)
CLASSIFY_TEXT = Task("classify", t.ClassifyTextRequest, a.ClassifyResult, t.ClassifiesTexts)
CLASSIFY_TOKENS = Task("classify_tokens", t.ClassifyTokensRequest, t.ClassifyTokensResult, t.ClassifiesTokens)
ANSWER = Task("answer", t.AnswerRequest, t.AnswerResult, t.Answers)
GENERATE = Task("generate", t.GenerateRequest, t.GenerateResult, t.Generates, by_steps=True)
TRANSLATE = Task("translate", t.GenerateRequest, t.GenerateResult, t.Translates, by_steps=True)
SCORE_TEXT = Task("score_text", t.ScoreTextRequest, t.ScoreTextResult, t.ScoresTexts)
SIMILARITY = Task("similarity", t.SimilarityRequest, t.SimilarityResult, t.ComparesTexts)
PROJECT_TEXTS = Task("project", t.ProjectTextsRequest, a.ProjectResult, t.ProjectsTexts)
ATTEND = Task("attend", t.AttendRequest, t.AttendResult, t.ShowsAttention)
