"""`/reconstruct`: items to latents and back."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.envelope import (
    Answer,
    Codecs,
    Item,
    ItemIn,
    ItemOut,
    ItemsBody,
    Schema,
    Seed,
    items_of,
    present,
    stack,
)
from models.codecs.arrays import Limits
from models.tasks import RECONSTRUCT, Request
from models.tasks.autoencoding import ReconstructRequest, ReconstructResult


class ReconstructParameters(ItemIn, ItemOut):
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


def _requests(body: ReconstructBody, codecs: Codecs, limits: Limits) -> list[Request]:
    return [ReconstructRequest(item=item, seed=body.parameters.seed) for item in items_of(body, codecs, limits)]


def _outputs(
    results: Sequence[ReconstructResult], requests: Sequence[Any], body: ReconstructBody, codecs: Codecs
) -> list[dict[str, Any]]:
    return [
        {
            "reconstruction": present(result.reconstruction, body.parameters, codecs),
            "mse": result.mse,
            "mae": result.mae,
        }
        for result in results
    ]


SCHEMA = Schema(
    task=RECONSTRUCT,
    body=ReconstructBody,
    answer=ReconstructAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: stack([result.reconstruction for result in results], codecs),
    n_numbers=lambda results: len(results) * results[0].reconstruction.numel(),
    takes_images=True,
    answers_images=True,
)
SCHEMAS = (SCHEMA,)
