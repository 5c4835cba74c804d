"""`/impute`: gaps in items, filled."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, Item, ItemInputParameters, ItemOutputParameters, ItemsBody
from app.schemas.shared.examples import AS_PNG
from app.schemas.shared.items import decode_items, render_item, stack_items
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import IMPUTE, Request
from models.tasks.autoencoding import ImputeRequest, ImputeResult

MAX_ITERATIONS = 200


class ImputeParameters(ItemInputParameters, ItemOutputParameters):
    """Parameters of `/impute`."""

    iterations: int = Field(20, ge=1, le=MAX_ITERATIONS, description="Rounds of reconstructing and keeping the gaps.")


class ImputeOutput(BaseModel):
    """One item without gaps."""

    imputed: Item = Field(description="What was observed is unchanged.")


class ImputeBody(ItemsBody):
    """What `/impute` is asked; null stands for what is missing."""

    parameters: ImputeParameters = ImputeParameters()


class ImputeAnswer(Answer):
    """What `/impute` answers."""

    outputs: list[ImputeOutput]


def _requests(body: ImputeBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    items = decode_items(body, codecs, limits, gaps=True)
    return [ImputeRequest(item=item, iterations=body.parameters.iterations) for item in items]


def _outputs(
    results: Sequence[ImputeResult], requests: Sequence[Any], body: ImputeBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [{"imputed": render_item(result.imputed, body.parameters, codecs)} for result in results]


SCHEMA = TaskSchema(
    task=IMPUTE,
    body=ImputeBody,
    answer=ImputeAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: stack_items([result.imputed for result in results], codecs),
    takes_images=True,
    answers_images=True,
)
ENDPOINT = TaskEndpoint(
    name="impute",
    summary="Fill in missing values of items",
    schemas=(SCHEMA,),
    examples=({"model": "vae-mnist", "inputs": [[None] * 392 + [0.0] * 392], "parameters": AS_PNG},),
)
