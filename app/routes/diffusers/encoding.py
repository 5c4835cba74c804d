"""Answering `remote_encode`: pictures become latents."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from app.errors import Fault, InvalidRequest
from app.http.responses import TaskResponse, check_finite
from app.routes.diffusers.tensors import parse_query, picture_codec, read_tensor, tensor_response
from app.routes.foreign import ForeignRequest, Reply, call_task, receive
from app.routes.model_ids import find_model
from app.schemas.foreign.diffusers import RemoteEncodeQuery

TO_SAVE_TIME = "send fewer or smaller pictures"
"""What a client can do to be answered sooner."""


async def answer_encode(request: Request, model: str) -> Response:
    """Encode the pictures of a request, which are a raw tensor in [-1, 1] or the file of one picture.

    Raises:
        ManifoldError: the request is refused or failed.
    """
    foreign = await receive(request, TO_SAVE_TIME)
    query = parse_query(RemoteEncodeQuery, request.query_params.multi_items())
    if (query.shape is None) != (query.dtype is None):
        raise InvalidRequest.of([Fault("/shape", "a tensor has both a shape and a dtype, and a file has neither")])
    with await find_model(foreign.services.registry, model, request.method, {}).acquire() as loaded:
        picture_codec(loaded.checkpoint)
        inputs: Any = [foreign.data]
        if query.shape is not None:
            inputs = await foreign.services.pools.run(_read_pictures, foreign, query, n_bytes=len(foreign.data))
        reply = await call_task(foreign, "encode", {"model": model, "inputs": inputs}, {"inputs": "pictures"})
        return await foreign.services.pools.run(_render, reply, query, n_bytes=len(foreign.data))


def _read_pictures(foreign: ForeignRequest, query: RemoteEncodeQuery) -> NDArray[np.float32]:
    """Return the pictures of a tensor in [0, 1].

    Raises:
        InvalidRequest: a number is outside of [-1, 1].
    """
    pictures = read_tensor(foreign, query.shape or (), query.dtype or "float32")
    if pictures.size and not np.abs(pictures).max() <= 1:
        value = pictures.ravel()[np.argmax(~(np.abs(pictures.ravel()) <= 1))]
        raise InvalidRequest(f"the tensor has the value {value:g}; pictures have values in [-1, 1]")
    return (pictures + np.float32(1)) / np.float32(2)


def _render(reply: Reply, query: RemoteEncodeQuery) -> TaskResponse:
    """Render the latents, scaled for a diffusion model: (z - shift) scaling.

    Raises:
        InvalidRequest: scaled latents are beyond the range of their type.
    """
    latents: NDArray[Any] = np.stack([np.asarray(output["latent"], np.float32) for output in reply.outputs])
    check_finite(latents)
    factor, shift = (1.0 if query.scaling_factor is None else query.scaling_factor), query.shift_factor or 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (latents - np.float32(shift)) * np.float32(factor)
        rounded = scaled.astype(np.float16 if query.dtype == "float16" else np.float32)
    if not np.isfinite(rounded).all():
        detail = f"latents less {shift:g}, times {factor:g}, are beyond the range of {rounded.dtype.name}"
        raise InvalidRequest.of([Fault("/scaling_factor", detail)])
    return tensor_response(rounded, reply)
