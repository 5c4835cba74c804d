"""`/reconstruct`: items to latents and back."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.envelope import Answer, Body, Codecs, ImageIn, ImageOut, Schema, item_parameters, present, stack
from models.codecs.arrays import Limits
from models.tasks import RECONSTRUCT, ReconstructRequest, ReconstructResult, Request


class ReconstructParameters(ImageIn, ImageOut):
    """Parameters of `/reconstruct`."""

    seed: int | None = Field(None, ge=0, lt=2**63, description="For models whose latent is drawn; others ignore it.")


class ReconstructOutput(BaseModel):
    """One item's reconstruction."""

    reconstruction: list[Any] | str = Field(description="Numbers of the model's item shape, or a `data:` URL.")
    mse: float = Field(description="Mean squared error over the item's elements.")
    mae: float = Field(description="Mean absolute error over the item's elements.")


class ReconstructBody(Body):
    """What `/reconstruct` is asked."""

    parameters: ReconstructParameters = ReconstructParameters()


class ReconstructAnswer(Answer):
    """What `/reconstruct` answers."""

    outputs: list[ReconstructOutput]


def _requests(body: ReconstructBody, codecs: Codecs, limits: Limits) -> list[Request]:
    items = codecs.items.decode(body.inputs, limits, **item_parameters(codecs.items, body.parameters))
    return [ReconstructRequest(item=item, seed=body.parameters.seed) for item in items]


def _outputs(results: Sequence[ReconstructResult], body: ReconstructBody, codecs: Codecs) -> list[dict[str, Any]]:
    return [
        {
            "reconstruction": present(result.reconstruction.numpy(), body.parameters, codecs.items),
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
    array=lambda results: stack([result.reconstruction.numpy() for result in results]),
    takes_images=True,
    answers_images=True,
)
