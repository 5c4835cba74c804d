"""Requests with files of sound, which are decoded one by one in processes."""

from typing import Any

import numpy as np

from app.concurrency.request_memory import claim_memory
from app.errors import InvalidRequest
from app.http.content import reads_sounds
from app.routes.encoded_images import naming
from app.schemas.shared.sounds import audio_codec
from app.schemas.shared.task_schema import ModelCodecs, TaskSchema
from app.services import Services
from models.codecs.arrays import check_count
from models.codecs.data_url import bytes_of_string
from models.errors import Problem, UndecodableItems
from models.sounds.files import INSTALLATION, SoundForm
from models.tasks import Request as TaskRequest


async def decode_with_sounds(
    services: Services, schema: TaskSchema, body: Any, codecs: ModelCodecs, n_bytes: int, client: str
) -> list[TaskRequest]:
    """Convert the items of a body, some of which are files of sound, into task requests.

    Args:
        services: the components of the server.
        schema: the task.
        body: the body.
        codecs: the codecs of the model.
        n_bytes: the size of the body as it was received.
        client: who sent the request.

    Raises:
        InvalidItems: an item is refused; those after it are not decoded.
        InvalidRequest: files of sound cannot be read here, or a parameter is refused.
        QueueFull, PayloadTooLarge, MemoryExhausted, DecoderUnavailable: a file cannot be decoded now.
    """
    if not reads_sounds():
        raise InvalidRequest(f"files of sound are read on Linux, by {INSTALLATION}")
    codec, limits = audio_codec(codecs), services.limits
    items = list(body.inputs) if isinstance(body.inputs, list) else [body.inputs]
    check_count(len(items), limits.max_items)
    n_left = codec.max_samples(limits)
    for i, item in enumerate(items):
        if isinstance(item, str | bytes):
            with naming(i):
                data = await services.pools.run(_bytes_of, item, n_bytes=len(item))
                form = SoundForm(n_channels=codec.n_channels, sampling_rate=codec.sampling_rate, max_samples=n_left)
                items[i] = await services.decoders.decode_sound(data, form, client)
            claim_memory(items[i].nbytes)
            n_left -= len(items[i])
    decoded = body.model_copy(update={"inputs": items})
    n_bytes += sum(item.nbytes for item in items if isinstance(item, np.ndarray))
    return await services.pools.run(schema.requests, decoded, codecs, limits, n_bytes=n_bytes)


def _bytes_of(value: str | bytes) -> bytes:
    """Return the bytes of a file of sound.

    Raises:
        UndecodableItems: a string holds none.
    """
    try:
        return bytes_of_string(value) if isinstance(value, str) else value
    except ValueError as error:
        detail = f"the string is neither base64 nor a data: URL of a file of sound: {error}"
        raise UndecodableItems(Problem(detail)) from None
