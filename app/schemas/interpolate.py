"""`/interpolate`: the way from one item to another."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.errors import Fault, InvalidRequest
from app.schemas.shared.envelope import Answer, Item, ItemInputParameters, ItemOutputParameters, ItemsBody
from app.schemas.shared.examples import AS_PNG, SEVEN_PNG
from app.schemas.shared.items import decode_items, render_item, stack_items
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import INTERPOLATE, Request
from models.tasks.autoencoding import InterpolateRequest, InterpolateResult, Method

MAX_STEPS = 256


class InterpolateParameters(ItemInputParameters, ItemOutputParameters):
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


def _requests(body: InterpolateBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    items = decode_items(body, codecs, limits)
    if len(items) != 2:
        raise InvalidRequest.of([Fault("/inputs", f"{len(items)} items; interpolation takes exactly 2")])
    start, end = items
    return [InterpolateRequest(start=start, end=end, steps=body.parameters.steps, method=body.parameters.method)]


def _outputs(
    results: Sequence[InterpolateResult], requests: Sequence[Any], body: InterpolateBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [
        {
            "frames": [render_item(frame, body.parameters, codecs) for frame in result.frames],
            "latents": result.latents.numpy(),
        }
        for result in results
    ]


SCHEMA = TaskSchema(
    task=INTERPOLATE,
    body=InterpolateBody,
    answer=InterpolateAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: stack_items([frame for result in results for frame in result.frames], codecs),
    takes_images=True,
    answers_images=True,
)
ENDPOINT = TaskEndpoint(
    name="interpolate",
    summary="Interpolate between two items in latent space",
    schemas=(SCHEMA,),
    examples=({"model": "vae-mnist", "inputs": [SEVEN_PNG, [0.0] * 784], "parameters": {"steps": 5, **AS_PNG}},),
)
