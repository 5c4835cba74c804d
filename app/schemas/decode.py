"""`/decode`: latents to items."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.envelope import Answer, Body, Codecs, ImageOut, Schema, present, stack
from models.codecs.arrays import Limits
from models.tasks import DECODE, DecodeRequest, DecodeResult, Request


class DecodeParameters(ImageOut):
    """Parameters of `/decode`."""


class DecodeOutput(BaseModel):
    """One latent's item."""

    reconstruction: list[Any] | str = Field(description="Numbers of the model's item shape, or a `data:` URL.")


class DecodeBody(Body):
    """What `/decode` is asked."""

    parameters: DecodeParameters = DecodeParameters()


class DecodeAnswer(Answer):
    """What `/decode` answers."""

    outputs: list[DecodeOutput]


def _requests(body: DecodeBody, codecs: Codecs, limits: Limits) -> list[Request]:
    return [DecodeRequest(latent=latent) for latent in codecs.latents.decode(body.inputs, limits)]


def _outputs(results: Sequence[DecodeResult], body: DecodeBody, codecs: Codecs) -> list[dict[str, Any]]:
    return [{"reconstruction": present(r.reconstruction.numpy(), body.parameters, codecs.items)} for r in results]


SCHEMA = Schema(
    task=DECODE,
    body=DecodeBody,
    answer=DecodeAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results: stack([result.reconstruction.numpy() for result in results]),
    takes_images=False,
    answers_images=True,
)
