"""`/encode`: items to latents."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from app.schemas.envelope import Answer, Codecs, ItemIn, ItemsBody, Schema, Seed, items_of
from models.codecs.arrays import Limits
from models.tasks import ENCODE, Request
from models.tasks.autoencoding import EncodeRequest, EncodeResult


class EncodeParameters(ItemIn):
    """Parameters of `/encode`."""

    sample: bool = Field(False, description="Draw from the posterior; only for models that have one.")
    seed: Seed = Field(0, description="Of the drawn latent.")


class EncodeOutput(BaseModel):
    """One item's latent."""

    latent: list[Any] = Field(description="Numbers of the model's latent shape.")
    mean: list[float] | None = Field(None, description="Of the posterior, where the family has one.")
    log_variance: list[float] | None = Field(None, description="Of the posterior, where the family has one.")
    prior_score: float | None = Field(
        None, description="Where the family has a discriminator: the probability that the latent came from the prior."
    )


class EncodeBody(ItemsBody):
    """What `/encode` is asked."""

    parameters: EncodeParameters = EncodeParameters()


class EncodeAnswer(Answer):
    """What `/encode` answers."""

    outputs: list[EncodeOutput]


def _requests(body: EncodeBody, codecs: Codecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    items = items_of(body, codecs, limits)
    return [EncodeRequest(item=item, sample=parameters.sample, seed=parameters.seed) for item in items]


def _outputs(results: Sequence[EncodeResult], requests: Sequence[Any], body: EncodeBody, codecs: Codecs) -> list[dict[str, Any]]:
    return [_output(result) for result in results]


def _output(result: EncodeResult) -> dict[str, Any]:
    output: dict[str, Any] = {"latent": result.latent.numpy()}
    if result.mean is not None and result.log_variance is not None:
        output |= {"mean": result.mean.numpy(), "log_variance": result.log_variance.numpy()}
    if result.prior_score is not None:
        output["prior_score"] = result.prior_score
    return output


SCHEMA = Schema(
    task=ENCODE,
    body=EncodeBody,
    answer=EncodeAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: np.stack([result.latent.numpy() for result in results]),
    takes_images=True,
    answers_images=False,
)
