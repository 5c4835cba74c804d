"""Sounds: numbers, or files that were decoded to them, as tensors `[C, T]` and back; and codes of sounds as JSON.

Shapes: `C` channels, `T` samples in time, `K` codebooks, `F` frames of a chunk.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from models.codecs.arrays import (
    MAX_PROBLEMS,
    ArrayCodec,
    Floats,
    Limits,
    Shape,
    array_from_json,
    check_count,
    check_range,
    describe_fault,
    is_single_item,
    limit_problems,
)
from models.errors import InvalidItems, Problem
from models.sounds.files import SoundFormat, write_sound
from models.tasks.audio import SoundCodes

MAX_AMPLITUDE = 16.0
"""Largest sample that is taken, relative to the full scale, which files of floating-point numbers may exceed."""
CODE_FIELDS = frozenset({"codes", "scales", "length"})
"""The members of an object that stands for the codes of a sound."""
MAX_CODE = 2**31
"""Number that every index of a codebook is below."""


@dataclass(frozen=True, slots=True)
class AudioCodec(ArrayCodec):
    """The codec of sounds, whose samples have the full scale of -1 to 1 and may differ in number within a request.

    Clients see a list of T numbers or, if there are two channels, of T lists of 2 numbers.

    Attributes:
        n_channels: number of channels.
        sampling_rate: samples of a second.
        bandwidths: the bandwidths that a sound can be encoded at, in kbit/s, ascending.
        hop: samples of a frame.
    """

    value_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    stored_bits: ClassVar[int] = 16

    n_channels: int
    sampling_rate: int
    bandwidths: tuple[float, ...]
    hop: int

    @property
    def shape(self) -> Shape:
        """Return the shape of a sound of one second as clients see it, `(T, C)`."""
        return (self.sampling_rate, self.n_channels)

    def max_samples(self, limits: Limits) -> int:
        """Return the maximum number of samples in time of all sounds of a request together."""
        return int(limits.max_seconds * self.sampling_rate)

    def decode(self, values: object, limits: Limits) -> list[Tensor]:
        """Return one sound or several as float32 tensors `[C, T]`.

        `values` are JSON numbers, or an array `[T]` or `[n, T]` (one channel), `[T, C]` (several) or `[n, T, C]`; or a
        list of sounds, each of which is JSON numbers or an array.

        Raises:
            InvalidItems: a type, a shape, the number of sounds or their length together is wrong, or a sample is not a
                number within `MAX_AMPLITUDE`.
        """
        items = self._split_array(values) if isinstance(values, np.ndarray) else self._split_items(values)
        check_count(len(items), limits.max_items)
        problems: list[Problem] = []
        sounds: list[Tensor] = []
        for i, item in enumerate(items):
            try:
                sounds.append(self._decode_sound(item))
            except InvalidItems as error:
                problems += [Problem(problem.detail, i) for problem in error.problems]
            if len(problems) > MAX_PROBLEMS:
                break
        if problems:
            raise InvalidItems(*limit_problems(problems))
        self.check_length(sum(sound.shape[1] for sound in sounds), limits)
        return sounds

    @override
    def encode(self, item: Floats) -> Floats:
        return item[0] if self.n_channels == 1 else item.T

    def file(self, sounds: NDArray[Any], kind: SoundFormat) -> bytes:
        """Return a file of a sound, given as an array of one sound in the shape that clients see.

        Raises:
            InvalidItems: there are several sounds.
        """
        if len(sounds) != 1:
            detail = f"there are {len(sounds)} sounds, and a file has one; send one, or accept application/json"
            raise InvalidItems(Problem(detail))
        return write_sound(sounds[0], self.sampling_rate, kind)

    def data_url(self, sound: NDArray[Any], kind: SoundFormat) -> str:
        """Return the `data:` URL of a file of a sound in the shape that clients see."""
        encoded = base64.b64encode(write_sound(sound, self.sampling_rate, kind)).decode()
        return f"data:audio/{kind};base64,{encoded}"

    def decode_codes(self, values: object, limits: Limits) -> list[SoundCodes]:
        """Return one object of codes or several, as `encode_codes` makes them. A model checks whether they fit it.

        Raises:
            InvalidItems: a member is missing, unknown or of the wrong type, or the sounds are too long together.
        """
        items = values if isinstance(values, list) else [values]
        check_count(len(items), limits.max_items)
        encoded = []
        for i, item in enumerate(items):
            try:
                encoded.append(_codes_from_json(item, self.max_samples(limits)))
            except ValueError as error:
                raise InvalidItems(Problem(str(error), i)) from None
        self.check_length(sum(codes.length for codes in encoded), limits)
        return encoded

    def encode_codes(self, encoded: SoundCodes) -> dict[str, Any]:
        """Return the codes of a sound as an object for JSON."""
        content: dict[str, Any] = {"codes": [chunk.numpy() for chunk in encoded.chunks], "length": encoded.length}
        return content | ({"scales": list(encoded.scales)} if encoded.scales else {})

    def check_length(self, n_samples: int, limits: Limits) -> None:
        """Raise InvalidItems if `n_samples` in time are too many for the sounds of a request together."""
        if n_samples > self.max_samples(limits):
            found = f"the sounds have {n_samples / self.sampling_rate:.2f} s together"
            raise InvalidItems(Problem(f"{found}; a request takes {limits.max_seconds:g} s (max_audio_seconds)"))

    def _split_items(self, values: object) -> list[Any]:
        """Return the sounds of a request, which may be a single one without a list around it."""
        if type(values) is not list:
            raise InvalidItems(Problem(f"the items are no list; {self._expected()}"))
        if not values or isinstance(values[0], np.ndarray | str):
            return values
        if self.n_channels == 1:
            is_single = type(values[0]) is not list and is_single_item(values)
        else:
            is_single = type(values[0]) is not list or not values[0] or type(values[0][0]) is not list
        return [values] if is_single else values

    def _split_array(self, array: NDArray[Any]) -> Sequence[NDArray[Any]]:
        if array.dtype == np.uint8:
            raise InvalidItems(Problem("a uint8 array means pixels; here samples are expected: float32 or float64"))
        is_single = array.ndim == 1 if self.n_channels == 1 else array.ndim == 2
        if array.ndim not in (1, 2, 3):
            raise InvalidItems(Problem(f"the shape is {list(array.shape)}; {self._expected()}"))
        n = len(array)
        if self.n_channels == 1 and array.ndim == 2 and array.shape[1] == 1 and n > 1:
            detail = f"the shape is [{n}, 1], which may be one sound or {n} of one sample; send [1, {n}] or [{n}]"
            raise InvalidItems(Problem(detail))
        return [array] if is_single or array.ndim == 1 else list(array)

    def _decode_sound(self, item: object) -> Tensor:
        array = item if isinstance(item, np.ndarray) else array_from_json(item)
        if array is None:
            raise InvalidItems(Problem(f"the sound {describe_fault(item)}; {self._expected()}"))
        shape = list(array.shape)
        if array.ndim == 1 and self.n_channels == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] != self.n_channels or not len(array):
            raise InvalidItems(Problem(f"the shape is {shape}; {self._expected()}"))
        check_range(array[None], -MAX_AMPLITUDE, MAX_AMPLITUDE)
        return torch.from_numpy(np.array(array.T, dtype=np.float32, order="C"))

    def _expected(self) -> str:
        each = "numbers" if self.n_channels == 1 else f"lists of {self.n_channels} numbers"
        return f"expected a sound: a list of {each}, {self.sampling_rate} for each second, or a file in base64"


def _codes_from_json(item: object, max_length: int) -> SoundCodes:
    """Return the codes of one sound.

    Raises:
        ValueError: the item is none; the message says why.
    """
    if not isinstance(item, dict) or not {"codes", "length"} <= item.keys() <= CODE_FIELDS:
        raise ValueError('the item must be an object of "codes", "length" and, where /encode answered them, "scales"')
    length, scales = item["length"], item.get("scales", [])
    if type(length) is not int or not 1 <= length <= max_length:
        raise ValueError(f"length is {str(length)[:40]}; it must be a whole number from 1 to {max_length}")
    if not isinstance(scales, list) or not all(type(scale) in (int, float) for scale in scales):
        raise ValueError("scales must be a list of numbers")
    chunks = item["codes"] if isinstance(item["codes"], list) else []
    arrays = [array_from_json(chunk) for chunk in chunks]
    found = [array for array in arrays if array is not None and array.ndim == 2 and array.size]
    if not chunks or len(found) < len(chunks) or len({len(array) for array in found}) != 1:
        raise ValueError("codes must be a list of chunks, each of which is a list of frames for each codebook")
    if any((array != np.floor(array)).any() or array.min() < 0 or array.max() >= MAX_CODE for array in found):
        raise ValueError(f"codes must be whole numbers from 0 to {MAX_CODE - 1}")
    indices = tuple(torch.from_numpy(array.astype(np.int64)) for array in found)
    return SoundCodes(chunks=indices, scales=tuple(map(float, scales)), length=length)
