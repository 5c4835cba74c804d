"""Codecs turn plain values (JSON numbers, arrays, encoded files) into tensors and back. They check everything."""

from collections.abc import Mapping
from typing import Any

from models.codecs.image import ImageCodec
from models.codecs.series import SeriesCodec
from models.codecs.text import TextCodec
from models.codecs.vector import VectorCodec
from models.errors import ConfigError

__all__ = ["Codec", "ImageCodec", "ItemCodec", "SeriesCodec", "TextCodec", "VectorCodec", "build_codec"]

ItemCodec = ImageCodec | SeriesCodec | VectorCodec
Codec = ItemCodec | TextCodec


def build_codec(spec: Mapping[str, Any]) -> ItemCodec:
    """The codec a checkpoint asks for, such as `{"modality": "image", "shape": [1, 28, 28]}`.

    Raises:
        ConfigError: the modality is unknown, the shape is not one of its shapes, or a number is out of range.
    """
    modality, shape = spec.get("modality"), spec.get("shape")
    sides = tuple(shape) if isinstance(shape, list) else ()
    if not sides or not all(type(side) is int and side > 0 for side in sides):
        raise ConfigError(f"codec.shape is {shape!r}; it must be a list of positive integers")
    if modality == "vector":
        return VectorCodec(sides)
    if modality == "series":
        return _series(spec, sides)
    if modality != "image":
        raise ConfigError(f"codec.modality is {modality!r}; it must be image, series or vector")
    if len(sides) != 3 or sides[0] not in (1, 3):
        raise ConfigError(f"codec.shape is {shape!r}; an image has [1 or 3 channels, height, width]")
    return ImageCodec(*sides)


def _series(spec: Mapping[str, Any], sides: tuple[int, ...]) -> SeriesCodec:
    if len(sides) != 2:
        raise ConfigError(f"codec.shape is {list(sides)}; a series has [steps, channels]")
    max_length, means, deviations = (spec.get(name) for name in ("max_length", "means", "deviations"))
    if type(max_length) is not int or max_length < sides[0]:
        raise ConfigError(f"codec.max_length is {max_length!r}; it must be an integer of at least {sides[0]}")
    for name, numbers in (("means", means), ("deviations", deviations)):
        is_list = isinstance(numbers, list) and len(numbers) == sides[1]
        if not is_list or not all(type(number) in (int, float) for number in numbers or ()):
            raise ConfigError(f"codec.{name} is {numbers!r}; it must be a number for each of {sides[1]} channels")
    if min(deviations or ()) <= 0:
        raise ConfigError(f"codec.deviations is {deviations!r}; each must be positive")
    return SeriesCodec(*sides[:1], max_length, tuple(map(float, means or ())), tuple(map(float, deviations or ())))
