"""`/encode`: items to latents."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.envelope import Answer, Body, Codecs, ImageIn, Schema, item_parameters, stack
from models.codecs.arrays import Limits
from models.tasks import ENCODE, EncodeRequest, EncodeResult, Request


class EncodeParameters(ImageIn):
    """Parameters of `/encode`."""

    sample: bool = Field(False, description="Draw from the posterior; only for models that have one.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="Makes a drawn latent repeatable.")


class EncodeOutput(BaseModel):
    """One item's latent."""

    latent: list[float]


class EncodeBody(Body):
    """What `/encode` is asked."""

    parameters: EncodeParameters = EncodeParameters()


class EncodeAnswer(Answer):
    """What `/encode` answers."""

    outputs: list[EncodeOutput]


def _requests(body: EncodeBody, codecs: Codecs, limits: Limits) -> list[Request]:
    parameters = body.parameters
    items = codecs.items.decode(body.inputs, limits, **item_parameters(codecs.items, parameters))
    return [EncodeRequest(item=item, sample=parameters.sample, seed=parameters.seed) for item in items]


def _outputs(results: Sequence[EncodeResult], body: EncodeBody, codecs: Codecs) -> list[dict[str, Any]]:
    return [{"latent": result.latent.numpy()} for result in results]


SCHEMA = Schema(
    task=ENCODE,
    body=EncodeBody,
    answer=EncodeAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results: stack([result.latent.numpy() for result in results]),
    takes_images=True,
    answers_images=False,
)
