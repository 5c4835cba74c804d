"""Turns what people have, such as arrays, pictures, tables and files, into the items of a request."""

import base64
import io
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNATURES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"RIFF....WEBP", "image/webp"),
    (b"(RIFF|RF64)....WAVE", "audio/wav"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
)
"""Patterns of the first bytes of the pictures and sounds that the server takes, and their media types."""


def to_json(value: Any) -> Any:
    """Return a value as the server takes it in JSON.

    Texts, numbers and objects stay as they are. Arrays and tables become nested lists; NaN, which stands for a gap,
    becomes null. Pictures (`PIL.Image`) and files of pictures or sounds (a path, or the bytes) become `data:` URLs.

    Raises:
        TypeError: the value is of no type that has a form in JSON.
        ValueError: bytes are not those of a picture or sound, or a number is infinite.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return {str(name): to_json(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(member) for member in value]
    if isinstance(value, np.ndarray | np.generic):
        return to_json(value.tolist())
    if isinstance(value, Path | bytes):
        return _data_url(value if isinstance(value, bytes) else value.read_bytes())
    if hasattr(value, "to_numpy"):  # a table or a column of pandas
        return to_json(value.to_numpy().tolist())
    if hasattr(value, "save") and hasattr(value, "convert"):  # a picture of Pillow
        return _data_url(_png(value))
    raise TypeError(f"{type(value).__name__} has no form in JSON; send texts, numbers, arrays, tables or pictures")


def as_batch(inputs: Any) -> NDArray[Any] | None:
    """Return inputs that are one array of numbers, or a pandas table of these, as the array that an npy body holds.

    Its first axis counts the items. Other inputs give None; they are sent as JSON.
    """
    array = inputs.to_numpy() if hasattr(inputs, "to_numpy") else inputs
    if not isinstance(array, np.ndarray) or array.ndim < 2 or array.dtype.kind not in "fiub":
        return None
    if array.dtype == np.uint8 or array.dtype == np.float32:
        return np.ascontiguousarray(array)
    return np.ascontiguousarray(array, np.float64)


def to_npy(array: NDArray[Any]) -> bytes:
    """Return the bytes of a NumPy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _number(value: float) -> float | None:
    if math.isinf(value):
        raise ValueError(f"{value} has no form in JSON; send finite numbers, and NaN for gaps")
    return None if math.isnan(value) else value


def _png(picture: Any) -> bytes:
    """Return a picture of Pillow as a PNG file. Colours in a form that PNG does not have become red, green and blue.

    Raises:
        ValueError: the numbers of the picture have no known range.
    """
    if picture.mode == "F":
        raise ValueError("a picture of the mode F has numbers of no known range; send them as an array")
    file = io.BytesIO()
    (picture.convert("RGB") if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV") else picture).save(file, format="PNG")
    return file.getvalue()


def _data_url(data: bytes) -> str:
    media_type = next((kind for start, kind in SIGNATURES if re.match(start, data, re.DOTALL)), None)
    if media_type is None:
        raise ValueError(
            f"the {len(data)} bytes are not those of a PNG, JPEG or WebP picture, or a WAV, FLAC or Ogg sound"
        )
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
