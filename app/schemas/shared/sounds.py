"""Reading the sounds of a body, and rendering sounds into answers."""

from collections.abc import Sequence
from typing import Annotated, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypeAliasType

from app.registry.model_sizes import ModelSizes
from app.schemas.shared.envelope import ItemOutputParameters, Parameters
from app.schemas.shared.items import check_format, stack_arrays
from app.schemas.shared.memory import NUMBER_BYTES, REQUEST_BYTES
from app.schemas.shared.task_schema import ModelCodecs
from models.codecs import AudioCodec
from models.codecs.arrays import Limits
from models.sounds.files import SoundFormat

SAMPLE_BYTES = 16
"""Bytes of a sample before and after the passes: of the sound, its chunks, and the sound that these are joined to."""
Sound = TypeAliasType(
    "Sound",
    Annotated[
        list[Any] | str,
        Field(
            description="Samples, or with two channels lists of two samples; or the `data:` URL of a file if asked for."
        ),
    ],
)


class SoundInputParameters(Parameters):
    """Parameters of tasks that encode sounds."""

    bandwidth: float | None = Field(
        None,
        gt=0,
        description="Bandwidth in kbit/s that a sound is encoded at, one of those that `GET /models/{id}` shows; the "
        "model's least if omitted.",
    )


def audio_codec(codecs: ModelCodecs) -> AudioCodec:
    """Return the codec of a model whose items are sounds."""
    return cast("AudioCodec", codecs.items)


def decode_sounds(body: Any, codecs: ModelCodecs, limits: Limits) -> list[Any]:
    """Return the body's sounds as tensors `[C, T]`.

    Raises:
        InvalidItems: a sound has a wrong shape, range or type, they are too many or too long, or the format is not for
            them.
        InvalidRequest: the answer shall have files, which cannot be written.
    """
    check_format(body.parameters, codecs)
    return list(audio_codec(codecs).decode(body.inputs, limits))


def render_sound(sound: Any, parameters: ItemOutputParameters, codecs: ModelCodecs) -> Any:
    """Return a sound `[C, T]` as clients see it: as numbers, or as the `data:` URL of a file if they ask for it."""
    codec = audio_codec(codecs)
    array = codec.encode(sound.numpy())
    if parameters.format == "array":
        return np.ascontiguousarray(array)
    return codec.data_url(array, cast("SoundFormat", parameters.format))


def stack_sounds(results: Sequence[Any], body: Any, codecs: ModelCodecs) -> NDArray[Any]:
    """Return the sounds of results as one array `[n, T]` or, with two channels, `[n, T, C]`.

    Raises:
        InvalidRequest: the sounds differ in length.
    """
    codec = audio_codec(codecs)
    return stack_arrays([codec.encode(result.sound.numpy()) for result in results])


def of_sounds(requests: Sequence[Any], body: Any, sizes: ModelSizes) -> int:
    """Estimate the memory for an answer that has a number for each sample, or less, of each sound.

    The forward pass counts as well, because it takes many times as much as the sound.
    """
    return REQUEST_BYTES * len(requests) + of_passes(requests, body, sizes) + NUMBER_BYTES * _n_numbers(requests, sizes)


def of_two_sounds(requests: Sequence[Any], body: Any, sizes: ModelSizes) -> int:
    """Estimate the memory for an answer that has two numbers for each sample of each sound."""
    return of_sounds(requests, body, sizes) + NUMBER_BYTES * _n_numbers(requests, sizes)


def of_passes(requests: Sequence[Any], body: Any, sizes: ModelSizes) -> int:
    """Estimate the memory of the largest forward pass for sounds, and of the sounds and what is made of them."""
    n_samples: int = sum(request.cost for request in requests)
    return sizes.sample_bytes * min(n_samples, sizes.max_pass_samples) + SAMPLE_BYTES * n_samples


def _n_numbers(requests: Sequence[Any], sizes: ModelSizes) -> int:
    """Return the number of samples of all channels that an answer with the sounds of some requests has."""
    n_samples: int = sum(request.cost for request in requests)
    return n_samples * sizes.step
