"""`/denoise`: corrupted items to clean ones."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, Item, ItemInputParameters, ItemOutputParameters, ItemsBody, Seed, Strict
from app.schemas.shared.examples import AS_PNG, SEVEN_PNG
from app.schemas.shared.items import decode_items, render_item, stack_items
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import DENOISE, Request
from models.tasks.autoencoding import DenoiseRequest, DenoiseResult, Noise, NoiseType


class NoiseParameters(Strict):
    """What is added to an item that is clean, for a trial."""

    type: NoiseType
    level: float = Field(ge=0, le=1, description="Deviation of gaussian noise; else the fraction of elements hit.")


class DenoiseParameters(ItemInputParameters, ItemOutputParameters):
    """Parameters of `/denoise`."""

    noise: NoiseParameters | None = Field(None, description="Added first, so that the result can be compared.")
    seed: Seed = Field(0, description="Of the noise.")


class DenoiseOutput(BaseModel):
    """One item, cleaned. The rest is there where noise was asked for."""

    denoised: Item
    noisy: Item | None = None
    psnr_before: float | None = Field(None, description="Of the noisy item, in dB.")
    psnr_after: float | None = Field(None, description="Of the denoised item, in dB.")


class DenoiseBody(ItemsBody):
    """What `/denoise` is asked."""

    parameters: DenoiseParameters = DenoiseParameters()


class DenoiseAnswer(Answer):
    """What `/denoise` answers."""

    outputs: list[DenoiseOutput]


def _requests(body: DenoiseBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    asked = body.parameters.noise
    noise = Noise(asked.type, asked.level) if asked else None
    items = decode_items(body, codecs, limits)
    return [DenoiseRequest(item=item, noise=noise, seed=body.parameters.seed + i) for i, item in enumerate(items)]


def _outputs(
    results: Sequence[DenoiseResult], requests: Sequence[Any], body: DenoiseBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    outputs = []
    for result in results:
        output = {"denoised": render_item(result.denoised, body.parameters, codecs)}
        if result.noisy is not None:
            output |= {
                "noisy": render_item(result.noisy, body.parameters, codecs),
                "psnr_before": result.psnr_before,
                "psnr_after": result.psnr_after,
            }
        outputs.append(output)
    return outputs


SCHEMA = TaskSchema(
    task=DENOISE,
    body=DenoiseBody,
    answer=DenoiseAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: stack_items([result.denoised for result in results], codecs),
    n_numbers=lambda results: 2 * len(results) * results[0].denoised.numel(),
    takes_images=True,
    answers_images=True,
)
ENDPOINT = TaskEndpoint(
    name="denoise",
    summary="Remove noise from items",
    schemas=(SCHEMA,),
    examples=(
        {
            "model": "denoising-ae-mnist",
            "inputs": [SEVEN_PNG],
            "parameters": {"noise": {"type": "gaussian", "level": 0.3}, "seed": 1, **AS_PNG},
        },
    ),
)
