"""`/rerank`: order candidates by how well they answer a query."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.choices import PairActivation
from app.schemas.shared.comparisons import ComparisonParameters, read_comparisons, read_pairs
from app.schemas.shared.envelope import Answer, ItemsBody, TextParameters
from app.schemas.shared.items import count_tokens
from app.schemas.shared.memory import of_records
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import RERANK, RERANK_PAIRS, Request
from models.tasks.text import RerankPairsRequest, RerankRequest, RerankResult

NUMBERS_PER_CANDIDATE = 8
"""Number of array elements that take as long to render as one candidate with its score."""
TopK = Field(None, ge=1, description="Number of candidates to return, the best; all if omitted.")


class RankedCandidate(BaseModel):
    """A candidate and its score."""

    index: int = Field(description="Place of the candidate in `candidates`, from 0.")
    score: float = Field(
        description="How well the candidate answers the query; the higher, the better. It is the score of the only "
        "class of a cross-encoder, a probability for most; for a sentence encoder it is the similarity of the "
        "embeddings, as in `/similarity`."
    )


class RerankOutput(BaseModel):
    """The candidates of one query."""

    ranking: list[RankedCandidate] = Field(
        description="The candidates, best first; of those with the same score, the earlier comes first."
    )


class RerankAnswer(Answer):
    """Answer of `/rerank`."""

    outputs: list[RerankOutput] = Field(description="The ranking of each item, in the order of the inputs.")


class RerankParameters(ComparisonParameters):
    """Parameters of `/rerank` for sentence encoders."""

    top_k: int | None = TopK


class RerankBody(ItemsBody):
    """Request body of `/rerank` for sentence encoders. An item is `{"query", "candidates"}`."""

    parameters: RerankParameters = Field(RerankParameters(), description="Parameters of the task.")


class RerankPairsParameters(TextParameters):
    """Parameters of `/rerank` for cross-encoders."""

    top_k: int | None = TopK
    function_to_apply: PairActivation | None = Field(
        None,
        description="Function that turns the model's logits into scores; `none` returns the logits. If omitted, the "
        "function that the checkpoint was trained for.",
    )


class RerankPairsBody(ItemsBody):
    """Request body of `/rerank` for cross-encoders. An item is `{"query", "candidates"}`."""

    parameters: RerankPairsParameters = Field(RerankPairsParameters(), description="Parameters of the task.")


def _requests(body: RerankBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    top_k = body.parameters.top_k
    return [RerankRequest(texts=texts, top_k=top_k) for texts in read_comparisons(body, codecs, limits, "query")]


def _requests_of_pairs(body: RerankPairsBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    top_k, function = body.parameters.top_k, body.parameters.function_to_apply
    return [
        RerankPairsRequest(texts=pairs, top_k=top_k, function_to_apply=function)
        for pairs in read_pairs(body, codecs, limits, "query")
    ]


def _outputs(
    results: Sequence[RerankResult], requests: Sequence[Any], body: Any, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    ranked = (zip(result.indices.tolist(), result.scores.tolist(), strict=True) for result in results)
    return [{"ranking": [{"index": index, "score": score} for index, score in ranking]} for ranking in ranked]


def _n_numbers(results: Sequence[RerankResult]) -> int:
    return NUMBERS_PER_CANDIDATE * sum(len(result.scores) for result in results)


SCHEMA = TaskSchema(
    task=RERANK,
    modality="text",
    body=RerankBody,
    answer=RerankAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_records(lambda request, body, sizes: len(request.texts)),
    n_numbers=_n_numbers,
    usage=count_tokens,
)
PAIRS_SCHEMA = TaskSchema(
    task=RERANK_PAIRS,
    modality="text",
    body=RerankPairsBody,
    answer=RerankAnswer,
    requests=_requests_of_pairs,
    outputs=_outputs,
    estimate=of_records(lambda request, body, sizes: len(request.texts)),
    n_numbers=_n_numbers,
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="rerank",
    summary="Order candidates by how well they answer a query",
    description="Orders candidates by how well they answer a query. An item is an object of a `query` text and a list "
    "of `candidates`. A cross-encoder, which is a classifier with one class, reads the query and each candidate "
    "together; any other model compares their embeddings. Returns the places of the candidates with their scores, "
    "best first. A body with `documents`, such as clients of Cohere send, is answered as that of `/v1/rerank`.",
    schemas=(SCHEMA, PAIRS_SCHEMA),
    examples=(
        {
            "model": "sentence-mini-en",
            "inputs": [{"query": "a dog runs", "candidates": ["stock prices", "a dog walks"]}],
        },
    ),
)
