"""Answering `remote_decode`: latents become pictures, or tensors of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from app.errors import Fault, InvalidRequest
from app.http.content import PNG
from app.http.responses import TaskResponse, check_finite
from app.routes.diffusers.tensors import (
    TENSOR,
    parse_query,
    picture_codec,
    read_tensor,
    scale_of,
    tensor_response,
    unpack,
)
from app.routes.foreign import ForeignRequest, Reply, call_task, receive
from app.routes.model_ids import find_model
from app.schemas.foreign.diffusers import RemoteDecodeQuery
from models.checkpoint import Checkpoint
from models.codecs import ImageCodec

JPEG = "image/jpeg"
TO_SAVE_TIME = "send fewer or smaller latents"
"""What a client can do to be answered sooner."""
PACKED_AXES = 3
"""Number of axes of packed latents; others have four."""


async def answer_decode(request: Request, model: str) -> Response:
    """Decode the latents of a request.

    Raises:
        ManifoldError: the request is refused or failed.
    """
    foreign = await receive(request, TO_SAVE_TIME)
    query = parse_query(RemoteDecodeQuery, request.query_params.multi_items())
    with await find_model(foreign.services.registry, model, request.method, {}).acquire() as loaded:
        codec, checkpoint = picture_codec(loaded.checkpoint), loaded.checkpoint

        def read() -> NDArray[np.float32]:
            return _unscaled(_read_latents(foreign, query, scale_of(codec)), query, checkpoint)

        latents = await foreign.services.pools.run(read, n_bytes=len(foreign.data))
        reply = await call_task(foreign, "decode", {"model": model, "inputs": latents}, {"inputs": "latents"})
        arguments = reply, codec, query, foreign.context.header(b"accept") == TENSOR
        return await foreign.services.pools.run(_render, *arguments, n_bytes=len(foreign.data))


def _read_latents(foreign: ForeignRequest, query: RemoteDecodeQuery, scale: int) -> NDArray[np.float32]:
    latents = read_tensor(foreign, query.shape, query.dtype)
    if latents.ndim != PACKED_AXES:
        return latents
    if query.height is None or query.width is None:
        raise InvalidRequest.of([Fault("/height", "packed latents need the height and the width of the picture")])
    return unpack(latents, query.height, query.width, scale)


def _unscaled(latents: NDArray[np.float32], query: RemoteDecodeQuery, checkpoint: Checkpoint) -> NDArray[np.float32]:
    """Return the latents that the networks take, of those that a diffusion model makes: z / scaling + shift.

    Raises:
        InvalidRequest: the checkpoint's own scaling is asked for, and is more than two factors.
    """
    factor, shift = query.scaling_factor, query.shift_factor
    if query.do_scaling and factor is None:
        if getattr(checkpoint.config, "latents_mean", ()) or getattr(checkpoint.config, "latents_std", ()):
            detail = (
                "this model scales latents by latents_mean and latents_std; scale them before, with do_scaling=False"
            )
            raise InvalidRequest.of([Fault("/do_scaling", detail)])
        factor = getattr(checkpoint.config, "scaling_factor", 1.0)
        shift = getattr(checkpoint.config, "shift_factor", 0.0) if shift is None else shift
    unscaled: NDArray[np.float32] = latents / np.float32(1 if factor is None else factor) + np.float32(shift or 0)
    return unscaled


def _render(reply: Reply, codec: ImageCodec, query: RemoteDecodeQuery, wants_tensor: bool) -> TaskResponse:
    """Render the pictures as the client will read them.

    A tensor of whole pictures is in [-1, 1], as the library's networks make them. Where the client names a tensor as
    the answer and a picture as the output, it is in [0, 1].
    """
    pictures: NDArray[Any] = np.stack([np.asarray(output["reconstruction"]) for output in reply.outputs])
    if query.output_type == "pt" and query.partial_postprocess:
        return tensor_response(_bytes_of(pictures).transpose(0, 2, 3, 1), reply)
    if query.output_type == "pt":
        return tensor_response(_typed(pictures * 2 - 1, query.dtype), reply)
    if wants_tensor:
        return tensor_response(_typed(pictures, query.dtype), reply)
    if len(pictures) > 1:
        detail = f"the latents are {len(pictures)} pictures, and one is answered as a file; ask for `pt`"
        raise InvalidRequest.of([Fault("/output_type", detail)])
    check_finite(pictures)
    if query.image_format == "png":
        return TaskResponse(codec.png(pictures), PNG, reply.headers)
    return TaskResponse(codec.jpeg(pictures), JPEG, reply.headers)


def _typed(pictures: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return numbers in the type of the latents; in float32 instead of bfloat16, which NumPy lacks."""
    return pictures.astype(np.float16 if dtype == "float16" else np.float32)


def _bytes_of(pictures: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pictures in [0, 1] as levels from 0 to 255."""
    check_finite(pictures)
    levels: NDArray[np.uint8] = np.rint(pictures.clip(0, 1) * 255).astype(np.uint8)
    return levels
