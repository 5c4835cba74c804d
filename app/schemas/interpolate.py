"""`/interpolate`: the way from one item to another."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.errors import Fault, InvalidRequest
from app.schemas.envelope import Answer, Codecs, Item, ItemIn, ItemOut, ItemsBody, Schema, items_of, present, stack
from models.codecs.arrays import Limits
from models.tasks import INTERPOLATE, Request
from models.tasks.autoencoding import InterpolateRequest, InterpolateResult, Method

MAX_STEPS = 256


class InterpolateParameters(ItemIn, ItemOut):
    """Parameters of `/interpolate`."""

    steps: int = Field(8, ge=2, le=MAX_STEPS, description="Frames, both ends included.")
    method: Method = Field("linear", description="Straight through the latent space, or along a great circle.")


class InterpolateOutput(BaseModel):
    """The way."""

    frames: list[Item] = Field(description="Items; the first and last are the reconstructed ends.")
    latents: list[list[Any]]


class InterpolateBody(ItemsBody):
    """What `/interpolate` is asked; `inputs` are two items."""

    parameters: InterpolateParameters = InterpolateParameters()


class InterpolateAnswer(Answer):
    """What `/interpolate` answers."""

    outputs: list[InterpolateOutput] = Field(description="One.")


def _requests(body: InterpolateBody, codecs: Codecs, limits: Limits) -> list[Request]:
    items = items_of(body, codecs, limits)
    if len(items) != 2:
        raise InvalidRequest.of([Fault("/inputs", f"{len(items)} items; interpolation takes exactly 2")])
    start, end = items
    return [InterpolateRequest(start=start, end=end, steps=body.parameters.steps, method=body.parameters.method)]


def _outputs(
    results: Sequence[InterpolateResult], requests: Sequence[Any], body: InterpolateBody, codecs: Codecs
) -> list[dict[str, Any]]:
    return [
        {
            "frames": [present(frame, body.parameters, codecs) for frame in result.frames],
            "latents": result.latents.numpy(),
        }
        for result in results
    ]


SCHEMA = Schema(
    task=INTERPOLATE,
    body=InterpolateBody,
    answer=InterpolateAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: stack([frame for result in results for frame in result.frames], codecs),
    takes_images=True,
    answers_images=True,
)
SCHEMAS = (SCHEMA,)
