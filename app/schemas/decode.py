"""`/decode`: map latents to items."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, Item, ItemOutputParameters, ItemsBody
from app.schemas.shared.examples import AS_PNG, EXAMPLE_MODEL
from app.schemas.shared.items import check_format, render_item, stack_items
from app.schemas.shared.memory import of_new_items
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import DECODE, Request
from models.tasks.autoencoding import DecodeRequest, DecodeResult


class DecodeParameters(ItemOutputParameters):
    """Parameters of `/decode`."""

    length: int | None = Field(
        None,
        ge=1,
        description="Number of steps of a series, refused for other items; the length that the model was trained on if "
        "omitted.",
    )


class DecodeOutput(BaseModel):
    """The item of one latent."""

    reconstruction: Item = Field(description="The item: numbers of the item's shape, or a `data:` URL.")


class DecodeBody(ItemsBody):
    """Request body of `/decode`. An item is a latent."""

    parameters: DecodeParameters = Field(DecodeParameters(), description="Parameters of the task.")


class DecodeAnswer(Answer):
    """Answer of `/decode`."""

    outputs: list[DecodeOutput] = Field(description="The item of each latent, in the order of the inputs.")


def _requests(body: DecodeBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    check_format(body.parameters, codecs)
    latents = codecs.latents.decode(body.inputs, limits)
    return [DecodeRequest(latent=latent, length=body.parameters.length) for latent in latents]


def _outputs(
    results: Sequence[DecodeResult], requests: Sequence[Any], body: DecodeBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    items = [render_item(result.reconstruction, body.parameters, codecs) for result in results]
    return [{"reconstruction": item} for item in items]


SCHEMA = TaskSchema(
    task=DECODE,
    body=DecodeBody,
    answer=DecodeAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_new_items,
    array=lambda results, body, codecs: stack_items([result.reconstruction for result in results], codecs),
    row=itemgetter("reconstruction"),
    n_numbers=lambda results: len(results) * results[0].reconstruction.numel(),
    answers_images=True,
)
ENDPOINT = TaskEndpoint(
    name="decode",
    summary="Map latents to items",
    description="Decodes latents, such as `/encode` returns. An item is a latent: numbers of the model's latent shape. "
    "Returns the reconstructed image, series, row, vector or sentence for each.",
    schemas=(SCHEMA,),
    examples=({"model": EXAMPLE_MODEL, "inputs": [[0.0] * 32], "parameters": AS_PNG},),
)
