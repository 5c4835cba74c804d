"""Codecs turn plain values (JSON numbers, arrays, encoded files) into tensors and back. They check everything."""

from collections.abc import Mapping
from typing import Any

from models.codecs.image import ImageCodec
from models.codecs.vector import VectorCodec
from models.errors import ConfigError

__all__ = ["Codec", "ImageCodec", "VectorCodec", "build_codec"]

Codec = ImageCodec | VectorCodec


def build_codec(spec: Mapping[str, Any]) -> Codec:
    """The codec a checkpoint asks for, such as `{"modality": "image", "shape": [1, 28, 28]}`.

    Raises:
        ConfigError: the modality is unknown or the shape is not one of its shapes.
    """
    modality, shape = spec.get("modality"), spec.get("shape")
    sides = tuple(shape) if isinstance(shape, list) else ()
    if not sides or not all(type(side) is int and side > 0 for side in sides):
        raise ConfigError(f"codec.shape is {shape!r}; it must be a list of positive integers")
    if modality == "vector":
        return VectorCodec(sides)
    if modality != "image":
        raise ConfigError(f"codec.modality is {modality!r}; it must be image or vector")
    if len(sides) != 3 or sides[0] not in (1, 3):
        raise ConfigError(f"codec.shape is {shape!r}; an image has [1 or 3 channels, height, width]")
    return ImageCodec(*sides)
