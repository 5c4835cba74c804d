"""`/impute`: gaps in items, filled."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.envelope import Answer, Codecs, Item, ItemIn, ItemOut, ItemsBody, Schema, items_of, present, stack
from models.codecs.arrays import Limits
from models.tasks import IMPUTE, Request
from models.tasks.autoencoding import ImputeRequest, ImputeResult

MAX_ITERATIONS = 200


class ImputeParameters(ItemIn, ItemOut):
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


def _requests(body: ImputeBody, codecs: Codecs, limits: Limits) -> list[Request]:
    items = items_of(body, codecs, limits, gaps=True)
    return [ImputeRequest(item=item, iterations=body.parameters.iterations) for item in items]


def _outputs(
    results: Sequence[ImputeResult], requests: Sequence[Any], body: ImputeBody, codecs: Codecs
) -> list[dict[str, Any]]:
    return [{"imputed": present(result.imputed, body.parameters, codecs)} for result in results]


SCHEMA = Schema(
    task=IMPUTE,
    body=ImputeBody,
    answer=ImputeAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: stack([result.imputed for result in results], codecs),
    takes_images=True,
    answers_images=True,
)
SCHEMAS = (SCHEMA,)
