"""`/impute`: fill in the missing values of items."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, Item, ItemInputParameters, ItemOutputParameters, ItemsBody, Parameters
from app.schemas.shared.examples import AS_PNG
from app.schemas.shared.items import (
    as_list,
    decode_items,
    decode_sentences,
    render_item,
    render_sentence,
    stack_items,
)
from app.schemas.shared.memory import of_items, of_sentences
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs import TableCodec
from models.codecs.arrays import Limits
from models.tasks import IMPUTE, IMPUTE_SENTENCE, Request
from models.tasks.autoencoding import ImputeRequest, ImputeResult
from models.tasks.sentences import ImputeSentenceRequest

MAX_ITERATIONS = 200
"""Maximum of `iterations`."""


class ImputeParameters(ItemInputParameters, ItemOutputParameters):
    """Parameters of `/impute`."""

    iterations: int = Field(
        20,
        ge=1,
        le=MAX_ITERATIONS,
        description="Number of times that the missing values are replaced by their reconstruction.",
    )


class ImputeOutput(BaseModel):
    """One item whose missing values have been filled in."""

    imputed: Item = Field(description="The item with its missing values filled in; observed values are unchanged.")


class ImputeBody(ItemsBody):
    """Request body of `/impute`. Null or NaN stands for a missing value of an item."""

    parameters: ImputeParameters = Field(ImputeParameters(), description="Parameters of the task.")


class ImputeAnswer(Answer):
    """Answer of `/impute`."""

    outputs: list[ImputeOutput] = Field(description="The items without missing values, in the order of the inputs.")


def _requests(body: ImputeBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    items = decode_items(body, codecs, limits, gaps=True, any_length=True)
    return [ImputeRequest(item=item, iterations=body.parameters.iterations) for item in items]


def _outputs(
    results: Sequence[ImputeResult], requests: Sequence[Any], body: ImputeBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    items = [render_item(result.imputed, body.parameters, codecs, index) for index, result in enumerate(results)]
    if isinstance(codecs.items, TableCodec):
        items = [_filled(item, given) for item, given in zip(items, as_list(body.inputs), strict=True)]
    for item, series in zip(items, codecs.series, strict=False):
        for name, values in item.items():
            given = series.rows.get(name, [None] * len(values))
            item[name] = [value if old is None else old for value, old in zip(values, given, strict=True)]
    return [{"imputed": item} for item in items]


def _filled(row: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the observed values exactly as the client gave them."""
    return {name: value if given.get(name) is None else given[name] for name, value in row.items()}


SCHEMA = TaskSchema(
    task=IMPUTE,
    body=ImputeBody,
    answer=ImputeAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_items(1),
    array=lambda results, body, codecs: stack_items([result.imputed for result in results], codecs),
    row=itemgetter("imputed"),
    has_series_rows=True,
    takes_images=True,
    answers_images=True,
)


class ImputeSentenceParameters(Parameters):
    """Parameters of `/impute` for sentences: none."""


class ImputeSentenceOutput(BaseModel):
    """One sentence whose unknown words have been written."""

    imputed: str = Field(description="The sentence with a word in place of each unknown one; the others are unchanged.")


class ImputeSentenceBody(ItemsBody):
    """Request body of `/impute` for sentences: lists of words with null for each unknown one, or strings with masks."""

    parameters: ImputeSentenceParameters = Field(ImputeSentenceParameters(), description="Parameters of the task.")


class ImputeSentenceAnswer(Answer):
    """Answer of `/impute` for sentences."""

    outputs: list[ImputeSentenceOutput] = Field(description="The whole sentences, in the order of the inputs.")


def _sentence_requests(body: ImputeSentenceBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    return [ImputeSentenceRequest(item=item) for item in decode_sentences(body, codecs, limits, gaps=True)]


def _sentence_outputs(
    results: Sequence[ImputeResult], requests: Sequence[Any], body: ImputeSentenceBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [{"imputed": render_sentence(result.imputed, codecs)} for result in results]


SENTENCE_SCHEMA = TaskSchema(
    task=IMPUTE_SENTENCE,
    body=ImputeSentenceBody,
    answer=ImputeSentenceAnswer,
    requests=_sentence_requests,
    outputs=_sentence_outputs,
    estimate=of_sentences,
    takes_numbers=False,
    takes_sentences=True,
)
ENDPOINT = TaskEndpoint(
    name="impute",
    summary="Fill in missing values of items",
    description="Replaces missing values by what the model makes of the observed ones. An item is an image, a series "
    "or a vector, as numbers with null for each missing value; or a sentence, as a list of words with null for each "
    "unknown one, or as a string with a mask for it. Returns the items without missing values.",
    schemas=(SCHEMA, SENTENCE_SCHEMA),
    examples=({"model": "vae-mnist", "inputs": [[None] * 392 + [0.0] * 392], "parameters": AS_PNG},),
)
