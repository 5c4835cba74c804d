"""`/similarity`: compare a text with candidates."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.comparisons import ComparisonParameters, read_comparisons
from app.schemas.shared.envelope import Answer, ItemsBody
from app.schemas.shared.items import count_tokens
from app.schemas.shared.memory import of_records
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import SIMILARITY, Request
from models.tasks.text import SimilarityRequest, SimilarityResult


class SimilarityParameters(ComparisonParameters):
    """Parameters of `/similarity`."""


class SimilarityOutput(BaseModel):
    """The similarities of one source to its candidates."""

    scores: list[float] = Field(
        description="Similarity of the embeddings of the source and of each candidate; the higher, the more similar. "
        "It is the cosine of the angle between them, in [-1, 1], unless the checkpoint names another measure: the dot "
        "product, or the negative of the Euclidean or the Manhattan distance."
    )


class SimilarityBody(ItemsBody):
    """Request body of `/similarity`. An item is `{"source", "candidates"}`."""

    parameters: SimilarityParameters = Field(SimilarityParameters(), description="Parameters of the task.")


class SimilarityAnswer(Answer):
    """Answer of `/similarity`."""

    outputs: list[SimilarityOutput] = Field(description="The similarities of each item, in the order of the inputs.")


def _requests(body: SimilarityBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    return [SimilarityRequest(texts=texts) for texts in read_comparisons(body, codecs, limits, "source")]


def _outputs(
    results: Sequence[SimilarityResult], requests: Sequence[Any], body: SimilarityBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    scores = [result.scores.numpy() for result in results]
    return [{"scores": each} for each in scores]


SCHEMA = TaskSchema(
    task=SIMILARITY,
    modality="text",
    body=SimilarityBody,
    answer=SimilarityAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_records(lambda request, body, sizes: len(request.texts)),
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="similarity",
    summary="Compare a text with candidates",
    description="Compares the meaning of a text with that of candidates. An item is an object of a `source` text and a "
    "list of `candidates`. Returns a score for each candidate; the higher, the more similar.",
    schemas=(SCHEMA,),
    examples=(
        {
            "model": "sentence-mini-en",
            "inputs": [{"source": "a dog runs", "candidates": ["a dog walks", "stock prices"]}],
        },
    ),
)
