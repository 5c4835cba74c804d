"""`/decode`: map latents to items, codes to sounds."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, Item, ItemOutputParameters, ItemsBody
from app.schemas.shared.examples import AS_PNG, EXAMPLE_MODEL
from app.schemas.shared.items import check_format, render_item, stack_items
from app.schemas.shared.memory import of_new_items
from app.schemas.shared.sounds import (
    Sound,
    audio_codec,
    of_sounds,
    render_sound,
    stack_sounds,
)
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits
from models.tasks import DECODE, DECODE_SOUND, Request
from models.tasks.audio import DecodeSoundRequest, DecodeSoundResult
from models.tasks.autoencoding import DecodeRequest, DecodeResult


class DecodeParameters(ItemOutputParameters):
    """Parameters of `/decode`."""

    length: int | None = Field(
        None,
        ge=1,
        description="Number of steps of a series, refused for other items; the length that the model was trained on if "
        "omitted.",
    )


class DecodeOutput(BaseModel):
    """The item of one latent."""

    reconstruction: Item = Field(description="The item: numbers of the item's shape, or a `data:` URL.")


class DecodeBody(ItemsBody):
    """Request body of `/decode`. An item is a latent."""

    parameters: DecodeParameters = Field(DecodeParameters(), description="Parameters of the task.")


class DecodeAnswer(Answer):
    """Answer of `/decode`."""

    outputs: list[DecodeOutput] = Field(description="The item of each latent, in the order of the inputs.")


def _requests(body: DecodeBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    check_format(body.parameters, codecs)
    latents = codecs.latents.decode(body.inputs, limits)
    return [DecodeRequest(latent=latent, length=body.parameters.length) for latent in latents]


def _outputs(
    results: Sequence[DecodeResult], requests: Sequence[Any], body: DecodeBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    items = [render_item(result.reconstruction, body.parameters, codecs) for result in results]
    return [{"reconstruction": item} for item in items]


SCHEMA = TaskSchema(
    task=DECODE,
    body=DecodeBody,
    answer=DecodeAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_new_items,
    array=lambda results, body, codecs: stack_items([result.reconstruction for result in results], codecs),
    row=itemgetter("reconstruction"),
    n_numbers=lambda results: sum(result.reconstruction.numel() for result in results),
    answers_images=True,
)


class DecodeSoundParameters(ItemOutputParameters):
    """Parameters of `/decode` for codes of sounds."""


class DecodeSoundOutput(BaseModel):
    """The sound of one object of codes."""

    reconstruction: Sound = Field(description="The sound: its samples, or a `data:` URL.")


class DecodeSoundBody(ItemsBody):
    """Request body of `/decode` for codes of sounds. An item is an output of `/encode`."""

    parameters: DecodeSoundParameters = Field(DecodeSoundParameters(), description="Parameters of the task.")


class DecodeSoundAnswer(Answer):
    """Answer of `/decode` for codes of sounds."""

    outputs: list[DecodeSoundOutput] = Field(description="The sounds, in the order of the inputs.")


def _sound_requests(body: DecodeSoundBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    check_format(body.parameters, codecs)
    return [DecodeSoundRequest(encoded=codes) for codes in audio_codec(codecs).decode_codes(body.inputs, limits)]


def _sound_outputs(
    results: Sequence[DecodeSoundResult], requests: Sequence[Any], body: DecodeSoundBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [{"reconstruction": render_sound(result.sound, body.parameters, codecs)} for result in results]


SOUND_SCHEMA = TaskSchema(
    task=DECODE_SOUND,
    body=DecodeSoundBody,
    answer=DecodeSoundAnswer,
    requests=_sound_requests,
    outputs=_sound_outputs,
    estimate=of_sounds,
    array=stack_sounds,
    takes_numbers=False,
    answers_sounds=True,
)
ENDPOINT = TaskEndpoint(
    name="decode",
    summary="Map latents or codes to items",
    description="Decodes latents or codes, such as `/encode` returns. An item is a latent: numbers of the model's "
    "latent shape; or an object with the codes of a sound. Returns the reconstructed image, series, row, vector, "
    "sentence or sound for each.",
    schemas=(SCHEMA, SOUND_SCHEMA),
    examples=({"model": EXAMPLE_MODEL, "inputs": [[0.0] * 32], "parameters": AS_PNG},),
)
