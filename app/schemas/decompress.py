"""`/decompress`: turn streams of bytes back into items."""

from collections.abc import Sequence
from math import prod
from typing import Any, cast

from pydantic import BaseModel, Field

from app.schemas.shared.envelope import Answer, Item, ItemOutputParameters, ItemsBody
from app.schemas.shared.examples import AS_PNG, EXAMPLE_MODEL, SEVEN_BITSTREAM
from app.schemas.shared.items import as_list, check_format, render_item, stack_items
from app.schemas.shared.memory import of_numbers
from app.schemas.shared.sounds import (
    Sound,
    audio_codec,
    of_sounds,
    render_sound,
    stack_sounds,
)
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.autoencoding.compression.stream import declared_n_items, declared_shape
from models.codecs import ItemCodec, PictureCodec
from models.codecs.arrays import Limits, check_count
from models.codecs.data_url import decode_base64
from models.errors import InvalidItems, Problem
from models.tasks import DECOMPRESS, DECOMPRESS_SOUND, Request
from models.tasks.audio import DecompressSoundRequest, DecompressSoundResult
from models.tasks.autoencoding import DecompressRequest, DecompressResult


class DecompressParameters(ItemOutputParameters):
    """Parameters of `/decompress`."""


class DecompressOutput(BaseModel):
    """The items of one stream."""

    items: list[Item] = Field(description="The items, in the order in which they were compressed.")


class DecompressBody(ItemsBody):
    """Request body of `/decompress`. An item is a stream in base64."""

    parameters: DecompressParameters = Field(DecompressParameters(), description="Parameters of the task.")


class DecompressAnswer(Answer):
    """Answer of `/decompress`."""

    outputs: list[DecompressOutput] = Field(description="The items of each stream, in the order of the inputs.")


def _requests(body: DecompressBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    check_format(body.parameters, codecs)
    streams = _decode_streams(body.inputs, limits)
    sizes = [_item_numbers(stream, cast("ItemCodec", codecs.items)) for stream in streams]
    counts = [max(1, declared_n_items(stream)) for stream in streams]
    check_count(sum(counts), limits.max_items)
    return [
        DecompressRequest(stream=stream, max_items=limits.max_items, cost=n * size, item_numbers=size)
        for stream, n, size in zip(streams, counts, sizes, strict=True)
    ]


def _item_numbers(stream: bytes, codec: ItemCodec) -> int:
    """Return the number of elements of an item of a stream; of pictures, those that it declares, up to the limit."""
    if isinstance(codec, PictureCodec):
        return max(1, min(prod(declared_shape(stream)), codec.channels * codec.max_picture_pixels))
    return prod(codec.shape)


def _decode_streams(inputs: Any, limits: Limits) -> list[bytes]:
    """Return the bytes of one stream or several.

    Raises:
        InvalidItems: there are too many, or one is not base64.
    """
    values = as_list(inputs)
    check_count(len(values), limits.max_items)
    return [_decode_stream(value, index) for index, value in enumerate(values)]


def _decode_stream(value: object, index: int) -> bytes:
    detail = "a stream is a string in base64, as /compress answers it"
    try:
        if isinstance(value, str):
            return decode_base64(value)
    except ValueError as error:
        detail = f"{detail}: {error}"
    raise InvalidItems(Problem(detail, index))


def _outputs(
    results: Sequence[DecompressResult], requests: Sequence[Any], body: DecompressBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    outputs = []
    for result in results:
        items = [render_item(item, body.parameters, codecs) for item in result.items]
        outputs.append({"items": items})
    return outputs


SCHEMA = TaskSchema(
    task=DECOMPRESS,
    body=DecompressBody,
    answer=DecompressAnswer,
    requests=_requests,
    outputs=_outputs,
    estimate=of_numbers(lambda requests, body, sizes: sum(request.cost for request in requests)),
    array=lambda results, body, codecs: stack_items([item for result in results for item in result.items], codecs),
    takes_numbers=False,
    answers_images=True,
)


class DecompressSoundParameters(ItemOutputParameters):
    """Parameters of `/decompress` for streams of sounds."""


class DecompressSoundOutput(BaseModel):
    """The sound of one stream."""

    items: list[Sound] = Field(description="The sound, in a list of its own: its samples, or a `data:` URL.")


class DecompressSoundBody(ItemsBody):
    """Request body of `/decompress` for streams of sounds. An item is a stream in base64."""

    parameters: DecompressSoundParameters = Field(DecompressSoundParameters(), description="Parameters of the task.")


class DecompressSoundAnswer(Answer):
    """Answer of `/decompress` for streams of sounds."""

    outputs: list[DecompressSoundOutput] = Field(description="The sound of each stream, in the order of the inputs.")


def _sound_requests(body: DecompressSoundBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    """Return a request for each stream. The lengths that the streams declare are checked before any is decoded."""
    check_format(body.parameters, codecs)
    streams = _decode_streams(body.inputs, limits)
    lengths = [(declared_shape(stream) or (0,))[0] for stream in streams]
    audio_codec(codecs).check_length(sum(lengths), limits)
    return [
        DecompressSoundRequest(stream=stream, length=length) for stream, length in zip(streams, lengths, strict=True)
    ]


def _sound_outputs(
    results: Sequence[DecompressSoundResult], requests: Sequence[Any], body: DecompressSoundBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [{"items": [render_sound(result.sound, body.parameters, codecs)]} for result in results]


SOUND_SCHEMA = TaskSchema(
    task=DECOMPRESS_SOUND,
    body=DecompressSoundBody,
    answer=DecompressSoundAnswer,
    requests=_sound_requests,
    outputs=_sound_outputs,
    estimate=of_sounds,
    array=stack_sounds,
    takes_numbers=False,
    answers_sounds=True,
)
ENDPOINT = TaskEndpoint(
    name="decompress",
    summary="Decompress bitstreams into items",
    description="Reads streams that `/compress` made with the same model. An item is a stream in base64. Returns the "
    "items of each stream; a foreign, truncated or damaged stream is refused.",
    schemas=(SCHEMA, SOUND_SCHEMA),
    examples=({"model": EXAMPLE_MODEL, "inputs": [SEVEN_BITSTREAM], "parameters": AS_PNG},),
)
