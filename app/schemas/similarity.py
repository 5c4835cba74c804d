"""`/similarity`: compare a text with candidates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, EmbeddingParameters, ItemsBody
from app.schemas.shared.items import count_tokens, each_item, read_text_objects
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.codecs.text import TextItem
from models.errors import InvalidItems, Problem
from models.tasks import SIMILARITY, Request
from models.tasks.text import SimilarityRequest, SimilarityResult, Tokens


class SimilarityParameters(EmbeddingParameters):
    """Parameters of `/similarity`."""

    candidates_prompt_name: str | None = Field(
        None,
        max_length=1000,
        description="Name of the prompt to put before each candidate, for models that tell queries from documents; as "
        "for the source if omitted or null; no prompt if empty.",
    )


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
    items = read_text_objects(body.inputs, {"source": str, "candidates": list}, limits)
    parameters, codec = body.parameters, codecs.texts
    prompt = of_candidates = codec.prompts.choose(parameters.prompt_name)
    if parameters.candidates_prompt_name is not None:
        of_candidates = codec.prompts.choose(parameters.candidates_prompt_name, "candidates_prompt_name")

    def tokenize(texts: Sequence[str], prompt: str, n_before: int) -> list[Tokens]:
        try:
            return codec.tokenize(list(map(TextItem, texts)), truncate=parameters.truncate, prompt=prompt)
        except InvalidItems as error:
            raise InvalidItems(*(_name_text(problem, n_before) for problem in error.problems)) from None

    def request(item: dict[str, Any]) -> SimilarityRequest:
        source, candidates = item["source"], item["candidates"]
        if of_candidates == prompt:
            return SimilarityRequest(texts=tuple(tokenize([source, *candidates], prompt, 0)))
        return SimilarityRequest(texts=(*tokenize([source], prompt, 0), *tokenize(candidates, of_candidates, 1)))

    return [*each_item(items, request)]


def _name_text(problem: Problem, n_before: int) -> Problem:
    """Say which text of an item a problem is about, where it is about one; `n_before` texts come before its own."""
    if problem.index is None:
        return problem
    index = problem.index + n_before
    name = "source" if index == 0 else f"candidates/{index - 1}"
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
    "list of `candidates`. Returns a score for each candidate; the higher, the more similar.",
    schemas=(SCHEMA,),
    examples=(
        {
            "model": "sentence-mini-en",
            "inputs": [{"source": "a dog runs", "candidates": ["a dog walks", "stock prices"]}],
        },
    ),
)
