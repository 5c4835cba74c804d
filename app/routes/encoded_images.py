"""Requests with encoded images: small ones are decoded on a thread, large ones one by one in processes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from app.schemas.shared.items import picture_options
from app.schemas.shared.task_schema import ModelCodecs, TaskSchema
from app.services import Services
from models.codecs import ImageCodec
from models.errors import InvalidItems
from models.pictures.decoding import EncodedPicture
from models.tasks import Request as TaskRequest

MAX_THREAD_WORK = 10_000
"""Most work, in microseconds for all images of a request, that is done on a thread, where nothing can end it."""
HAS_PROCESSES = os.name == "posix"


def may_have_files(inputs: Any, max_items: int) -> bool:
    """Return whether inputs may be encoded images or sounds, a few bytes of which may stand for millions of numbers.

    A list that begins with a number is one item of numbers, and may be long. Of others, those are looked at that a
    request may have.
    """
    items = inputs if isinstance(inputs, list) else [inputs]
    if not items or type(items[0]) in (int, float):
        return False
    return any(isinstance(item, str | bytes) for item in items[: max_items + 1])


async def decode_with_images(
    services: Services, schema: TaskSchema, body: Any, codecs: ModelCodecs, n_bytes: int, client: str
) -> list[TaskRequest]:
    """Convert the items of a body, some of which are encoded images, into task requests.

    Args:
        services: the components of the server.
        schema: the task.
        body: the body.
        codecs: the codecs of the model.
        n_bytes: the size of the body as it was received.
        client: who sent the request.

    Raises:
        InvalidItems: an item is refused; if decoding alone shows it of a large image, those after it are not decoded.
        InvalidRequest: a parameter is refused.
        QueueFull, DecoderUnavailable: a large image cannot be decoded now.
    """
    codec, limits = codecs.items, services.limits

    def read_or_decode() -> tuple[list[Any], list[TaskRequest]]:
        """Return the items if some are large, else the requests."""
        if not isinstance(codec, ImageCodec):
            return [], schema.requests(body, codecs, limits)
        items = codec.read_pictures(body.inputs, limits, picture_options(body.parameters))
        if items is None:
            return [], schema.requests(body, codecs, limits)
        if HAS_PROCESSES and _is_large(items):
            return items, []
        return [], schema.requests(body.model_copy(update={"inputs": items}), codecs, limits)

    items, requests = await services.pools.run(read_or_decode, n_bytes=n_bytes)
    if not items or not isinstance(codec, ImageCodec):
        return requests
    form = codec.form(picture_options(body.parameters))
    encoded = {i: item for i, item in enumerate(items) if isinstance(item, EncodedPicture)}
    for i, picture in encoded.items():
        with naming(i):
            services.decoders.check(picture)
    for i, picture in encoded.items():
        with naming(i):
            items[i] = await services.decoders.decode(picture, form, client)
    decoded = body.model_copy(update={"inputs": items})
    return await services.pools.run(schema.requests, decoded, codecs, limits, n_bytes=n_bytes)


def _is_large(items: list[Any]) -> bool:
    """Return whether all encoded images are accepted so far, and are too much work for a thread."""
    if any(isinstance(item, InvalidItems) for item in items):
        return False
    return sum(item.header.work for item in items if isinstance(item, EncodedPicture)) > MAX_THREAD_WORK


@contextmanager
def naming(index: int) -> Iterator[None]:
    """Add the index of an item to the error that refuses it."""
    try:
        yield
    except InvalidItems as error:
        raise type(error)(*(replace(problem, index=index) for problem in error.problems)) from error
