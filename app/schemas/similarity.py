"""`/similarity`: compare a text with candidates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, ItemsBody, TextParameters
from app.schemas.shared.items import count_tokens, each_item, read_text_objects
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text import TextItem
from models.errors import InvalidItems, Problem
from models.tasks import SIMILARITY, Request
from models.tasks.text import SimilarityRequest, SimilarityResult


class SimilarityOutput(BaseModel):
    """The similarities of one source to its candidates."""

    scores: list[float] = Field(
        description="Cosine of the angle between the embeddings of the source and of each candidate, in [-1, 1]."
    )


class SimilarityBody(ItemsBody):
    """Request body of `/similarity`. An item is `{"source", "candidates"}`."""

    parameters: TextParameters = Field(TextParameters(), description="Parameters of the task.")


class SimilarityAnswer(Answer):
    """Answer of `/similarity`."""

    outputs: list[SimilarityOutput] = Field(description="The similarities of each item, in the order of the inputs.")


def _requests(body: SimilarityBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    items = read_text_objects(body.inputs, {"source": str, "candidates": list}, limits)

    def request(item: dict[str, Any]) -> SimilarityRequest:
        texts = [TextItem(item["source"]), *map(TextItem, item["candidates"])]
        try:
            tokens = codecs.texts.tokenize(texts, truncate=body.parameters.truncate)
        except InvalidItems as error:
            raise InvalidItems(*map(_name_text, error.problems)) from None
        return SimilarityRequest(texts=tuple(tokens))

    return [*each_item(items, request)]


def _name_text(problem: Problem) -> Problem:
    """Say which text of an item a problem is about, where it is about one."""
    if problem.index is None:
        return problem
    name = "source" if problem.index == 0 else f"candidates/{problem.index - 1}"
    return replace(problem, detail=f"{name}: {problem.detail}")


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
    usage=count_tokens,
)
ENDPOINT = TaskEndpoint(
    name="similarity",
    summary="Compare a text with candidates",
    description="Compares the meaning of a text with that of candidates. An item is an object of a `source` text and a "
    "list of `candidates`. Returns a score in [-1, 1] for each candidate; the higher, the more similar.",
    schemas=(SCHEMA,),
    examples=(
        {
            "model": "sentence-mini-en",
            "inputs": [{"source": "a dog runs", "candidates": ["a dog walks", "stock prices"]}],
        },
    ),
)
