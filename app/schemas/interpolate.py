"""`/interpolate`: decode points between two items in the latent space."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.errors import Fault, InvalidRequest
from app.schemas.shared.choices import InterpolationMethod
from app.schemas.shared.envelope import Answer, Item, ItemInputParameters, ItemOutputParameters, ItemsBody
from app.schemas.shared.examples import AS_PNG, SEVEN_PNG
from app.schemas.shared.items import decode_items, render_item, stack_items
from app.schemas.shared.memory import of_numbers
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import INTERPOLATE, Request
from models.tasks.autoencoding import InterpolateRequest, InterpolateResult

MAX_STEPS = 256
"""Maximum of `steps`."""


class InterpolateParameters(ItemInputParameters, ItemOutputParameters):
    """Parameters of `/interpolate`."""

    steps: int = Field(8, ge=2, le=MAX_STEPS, description="Number of frames, including both ends.")
    method: InterpolationMethod = Field(
        "linear", description="Whether to go straight through the latent space or along a great circle (`slerp`)."
    )


class InterpolateOutput(BaseModel):
    """The frames from the first item to the second."""

    frames: list[Item] = Field(description="Decoded items; the first and the last are reconstructions of the inputs.")
    latents: list[list[Any]] = Field(description="The latent of each frame.")


class InterpolateBody(ItemsBody):
    """Request body of `/interpolate`. The inputs are exactly two items."""

    parameters: InterpolateParameters = Field(InterpolateParameters(), description="Parameters of the task.")


class InterpolateAnswer(Answer):
    """Answer of `/interpolate`."""

    outputs: list[InterpolateOutput] = Field(description="A single output, for both inputs together.")


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
    estimate=of_numbers(
        lambda requests, body, sizes: sum(
            each.cost + each.steps * sizes.latent_of(each.start.numel()) for each in requests
        )
    ),
    array=lambda results, body, codecs: stack_items([frame for result in results for frame in result.frames], codecs),
    takes_images=True,
    answers_images=True,
    takes_sentences=True,
)
ENDPOINT = TaskEndpoint(
    name="interpolate",
    summary="Interpolate between two items in latent space",
    description="Decodes points between the latents of two items. An item is an image, a series, a row of a table, "
    "a vector or a sentence, and there are exactly two. Returns a single output with the frames from the first item to "
    "the second, and their latents.",
    schemas=(SCHEMA,),
    is_joint=True,
    examples=({"model": "vae-mnist", "inputs": [SEVEN_PNG, [0.0] * 784], "parameters": {"steps": 5, **AS_PNG}},),
)
