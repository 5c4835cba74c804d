"""`/decode`: latents to items."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, Item, ItemOutputParameters, ItemsBody
from app.schemas.shared.examples import AS_PNG, EXAMPLE_MODEL
from app.schemas.shared.items import render_item, stack_items
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import DECODE, Request
from models.tasks.autoencoding import DecodeRequest, DecodeResult


class DecodeParameters(ItemOutputParameters):
    """Parameters of `/decode`."""

    length: int | None = Field(None, ge=1, description="Steps of a series; what the model was trained on if left out.")


class DecodeOutput(BaseModel):
    """One latent's item."""

    reconstruction: Item = Field(description="Numbers of the item's shape, or a `data:` URL.")


class DecodeBody(ItemsBody):
    """What `/decode` is asked."""

    parameters: DecodeParameters = DecodeParameters()


class DecodeAnswer(Answer):
    """What `/decode` answers."""

    outputs: list[DecodeOutput]


def _requests(body: DecodeBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    latents = codecs.latents.decode(body.inputs, limits)
    return [DecodeRequest(latent=latent, length=body.parameters.length) for latent in latents]


def _outputs(
    results: Sequence[DecodeResult], requests: Sequence[Any], body: DecodeBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [{"reconstruction": render_item(result.reconstruction, body.parameters, codecs)} for result in results]


SCHEMA = TaskSchema(
    task=DECODE,
    body=DecodeBody,
    answer=DecodeAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: stack_items([result.reconstruction for result in results], codecs),
    n_numbers=lambda results: len(results) * results[0].reconstruction.numel(),
    answers_images=True,
)
ENDPOINT = TaskEndpoint(
    name="decode",
    summary="Map latents to items",
    schemas=(SCHEMA,),
    examples=({"model": EXAMPLE_MODEL, "inputs": [[0.0] * 32], "parameters": AS_PNG},),
)
