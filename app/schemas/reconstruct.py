"""`/reconstruct`: items to latents and back."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, Item, ItemInputParameters, ItemOutputParameters, ItemsBody, Seed
from app.schemas.shared.examples import AS_PNG, EXAMPLE_MODEL, SEVEN_PNG
from app.schemas.shared.items import decode_items, render_item, stack_items
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import RECONSTRUCT, Request
from models.tasks.autoencoding import ReconstructRequest, ReconstructResult


class ReconstructParameters(ItemInputParameters, ItemOutputParameters):
    """Parameters of `/reconstruct`."""

    seed: Seed | None = Field(None, description="Draws the latent, of models with a posterior; others ignore it.")


class ReconstructOutput(BaseModel):
    """One item's reconstruction."""

    reconstruction: Item = Field(description="Numbers of the item's shape, or a `data:` URL.")
    mse: float = Field(description="Mean squared error over the item's elements, as the model sees them.")
    mae: float = Field(description="Mean absolute error over the item's elements, as the model sees them.")


class ReconstructBody(ItemsBody):
    """What `/reconstruct` is asked."""

    parameters: ReconstructParameters = ReconstructParameters()


class ReconstructAnswer(Answer):
    """What `/reconstruct` answers."""

    outputs: list[ReconstructOutput]


def _requests(body: ReconstructBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    return [ReconstructRequest(item=item, seed=body.parameters.seed) for item in decode_items(body, codecs, limits)]


def _outputs(
    results: Sequence[ReconstructResult], requests: Sequence[Any], body: ReconstructBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [
        {
            "reconstruction": render_item(result.reconstruction, body.parameters, codecs),
            "mse": result.mse,
            "mae": result.mae,
        }
        for result in results
    ]


SCHEMA = TaskSchema(
    task=RECONSTRUCT,
    body=ReconstructBody,
    answer=ReconstructAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: stack_items([result.reconstruction for result in results], codecs),
    n_numbers=lambda results: len(results) * results[0].reconstruction.numel(),
    takes_images=True,
    answers_images=True,
)
ENDPOINT = TaskEndpoint(
    name="reconstruct",
    summary="Encode items and decode them again",
    schemas=(SCHEMA,),
    examples=({"model": EXAMPLE_MODEL, "inputs": [SEVEN_PNG], "parameters": AS_PNG},),
)
