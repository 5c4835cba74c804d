"""`/decompress`: streams of bytes to items."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from app.errors import Fault, InvalidRequest
from app.schemas.shared.envelope import Answer, Item, ItemOutputParameters, ItemsBody
from app.schemas.shared.examples import AS_PNG, EXAMPLE_MODEL, SEVEN_BITSTREAM
from app.schemas.shared.items import render_item, stack_items
from app.schemas.shared.task_schema import ModelCodecs, TaskEndpoint, TaskSchema
from models.codecs.arrays import Limits, check_count
from models.layers.bitstream import n_items_of
from models.tasks import DECOMPRESS, Request
from models.tasks.autoencoding import DecompressRequest, DecompressResult


class DecompressParameters(ItemOutputParameters):
    """Parameters of `/decompress`."""


class DecompressOutput(BaseModel):
    """One stream's items."""

    items: list[Item]


class DecompressBody(ItemsBody):
    """What `/decompress` is asked; `inputs` are streams in base64."""

    parameters: DecompressParameters = DecompressParameters()


class DecompressAnswer(Answer):
    """What `/decompress` answers."""

    outputs: list[DecompressOutput]


def _requests(body: DecompressBody, codecs: ModelCodecs, limits: Limits) -> list[Request]:
    inputs = body.inputs if isinstance(body.inputs, list) else [body.inputs]
    check_count(len(inputs), limits.max_items)
    streams = [_stream(value, i) for i, value in enumerate(inputs)]
    counts = [max(1, n_items_of(stream)) for stream in streams]
    check_count(sum(counts), limits.max_items)
    return [
        DecompressRequest(stream=stream, max_items=limits.max_items, cost=n * codecs.n_elements)
        for stream, n in zip(streams, counts, strict=True)
    ]


def _stream(value: object, index: int) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass  # told below, as for anything else that is no base64
    raise InvalidRequest.of([Fault(f"/inputs/{index}", "a stream is a string in base64, as /compress answers it")])


def _outputs(
    results: Sequence[DecompressResult], requests: Sequence[Any], body: DecompressBody, codecs: ModelCodecs
) -> list[dict[str, Any]]:
    return [{"items": [render_item(item, body.parameters, codecs) for item in result.items]} for result in results]


SCHEMA = TaskSchema(
    task=DECOMPRESS,
    body=DecompressBody,
    answer=DecompressAnswer,
    requests=_requests,
    outputs=_outputs,
    array=lambda results, codecs: stack_items([item for result in results for item in result.items], codecs),
    answers_images=True,
)
ENDPOINT = TaskEndpoint(
    name="decompress",
    summary="Decompress bitstreams into items",
    schemas=(SCHEMA,),
    examples=({"model": EXAMPLE_MODEL, "inputs": [SEVEN_BITSTREAM], "parameters": AS_PNG},),
)
