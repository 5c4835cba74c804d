"""Raw tensors: little-endian numbers in row-major order, whose shape and type are query parameters or headers.

Shapes: `B` batch, `Z` channels of a latent; `h`, `w` its sides.
"""

import json
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from app.errors import Fault, InvalidRequest
from app.http.responses import TaskResponse, check_finite
from app.http.tensors import TensorHead, numbers_from_bytes
from app.routes.foreign import ForeignRequest, Reply
from app.routes.foreign_faults import renamed_faults
from app.schemas.shared.parsing import nested_models, parse_body
from models.checkpoint import Checkpoint
from models.codecs import ImageCodec, PictureCodec

TENSOR = "tensor/binary"
"""Media type of a raw tensor."""
DATATYPES = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16"}
"""Names of the types of numbers in the Open Inference Protocol."""
BYTES_PER_BYTE = 8
"""Most memory for a byte of a raw tensor: float16 becomes float32, which is scaled and rearranged."""
PACKED_SIDE = 2
"""Rows and columns of the squares of positions that packed latents have together."""
MULTIPLE_PARAMETERS = ("shape",)
"""Parameters that may be given several times."""
QueryT = TypeVar("QueryT", bound=BaseModel)


def parse_query(kind: type[QueryT], pairs: Sequence[tuple[str, str]]) -> QueryT:
    """Check the query parameters of a request and return them.

    Raises:
        InvalidRequest: a parameter is unknown, missing, given twice or out of range.
    """
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name in MULTIPLE_PARAMETERS and name in nested_models(kind):
            values.setdefault(name, []).append(text)
        elif name in values:
            raise InvalidRequest.of([Fault(f"/{name}", "this parameter is given twice")])
        else:
            values[name] = text
    return parse_body(kind, values, strict=False)


def read_tensor(foreign: ForeignRequest, shape: Sequence[int], dtype: str) -> NDArray[np.float32]:
    """Return the tensor that the body is, in float32.

    Raises:
        InvalidRequest: the body has another number of bytes than the tensor.
        PayloadTooLarge, MemoryExhausted: there is no memory for it.
    """
    head = TensorHead(name="tensor", datatype=DATATYPES[dtype], shape=tuple(shape))
    foreign.context.memory.claim(BYTES_PER_BYTE * len(foreign.data))
    with renamed_faults({"inputs/tensor": ""}):
        return numbers_from_bytes(head, memoryview(foreign.data)).astype(np.float32)


def unpack(latents: NDArray[np.float32], height: int, width: int, scale: int) -> NDArray[np.float32]:
    """Return latents `[B, Z, h, w]` of packed ones, `[B, h w / 4, 4 Z]`, for pictures of so many pixels.

    Source: `FluxPipeline._pack_latents` of diffusers.

    Raises:
        InvalidRequest: the packed latents have another number of positions.
    """
    rows, columns = (side // (scale * PACKED_SIDE) for side in (height, width))
    n_items, n_positions, n_numbers = latents.shape
    if n_positions != rows * columns or n_numbers % PACKED_SIDE**2:
        detail = f"the packed latents have the shape {list(latents.shape)}; {width} x {height} pixels take "
        detail += f"{rows * columns} positions of a multiple of {PACKED_SIDE**2} numbers"
        raise InvalidRequest.of([Fault("/shape", detail)])
    squares = latents.reshape(n_items, rows, columns, -1, PACKED_SIDE, PACKED_SIDE).transpose(0, 3, 1, 4, 2, 5)
    return squares.reshape(n_items, -1, rows * PACKED_SIDE, columns * PACKED_SIDE)


def picture_codec(checkpoint: Checkpoint) -> ImageCodec:
    """Return the codec of a model of pictures.

    Raises:
        InvalidRequest: the items of the model are no pictures.
    """
    codec = checkpoint.codec if checkpoint.modality == "image" else None
    if not isinstance(codec, ImageCodec):
        raise InvalidRequest(
            f"{checkpoint.name} is no model of pictures; its items are of the kind {checkpoint.modality}"
        )
    return codec


def scale_of(codec: ImageCodec) -> int:
    """Return the number of pixels of a side for each row or column of a latent; 1 for models of one size."""
    return codec.multiple if isinstance(codec, PictureCodec) else 1


def tensor_response(array: NDArray[Any], reply: Reply) -> TaskResponse:
    """Return an answer that is a raw tensor.

    Raises:
        InferenceFailed: a number is not finite.
    """
    check_finite(array)
    described = [(b"shape", json.dumps(array.shape).encode()), (b"dtype", array.dtype.name.encode())]
    return TaskResponse(np.ascontiguousarray(array).tobytes(), TENSOR, [*reply.headers, *described])
