"""NumPy files (`.npy`) as arrays, and arrays as such files.

Source: NEP 1 and numpy.lib.format, versions 1.0, 2.0 and 3.0.
"""

import ast
import re
import struct
from contextlib import suppress
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import Problem, UndecodableItems

_MAGIC = b"\x93NUMPY"
_VERSIONS = {b"\x01\x00": ("<H", 10, "latin-1"), b"\x02\x00": ("<I", 12, "latin-1"), b"\x03\x00": ("<I", 12, "utf-8")}
"""Format of the header's length, offset of the header, and its encoding, by the version of the file."""
_KEYS = {"descr", "fortran_order", "shape"}
_READ_AS = {2: np.float32, 4: np.float32, 8: np.float64}
"""The type that floats are converted to, without loss, by their size in bytes."""
_MAX_HEADER_BYTES = 10_000
"""Maximum length of a header with its padding, as in NumPy."""
_MAX_HEADER_CHARACTERS = 1024
"""Maximum length of a header without its padding. An array of 64 dimensions needs less."""


def parse_npy(data: bytes) -> NDArray[Any]:
    """Read a `.npy` file of float16, float32, float64 or uint8; float16 becomes float32.

    The data are not copied if they are float32, float64 or uint8 in the byte order of this machine. The header is
    parsed as a literal and never evaluated.

    Raises:
        UndecodableItems: the data are not a `.npy` file, have another dtype, a shape that no array can have, or another
            length than the header says.
    """
    length_format, header_offset, encoding = _VERSIONS.get(data[6:8], ("", 0, ""))
    if data[:6] != _MAGIC or not length_format or len(data) < header_offset:
        raise UndecodableItems(Problem("the body is not a .npy file of version 1.0, 2.0 or 3.0"))
    data_offset = header_offset + struct.unpack_from(length_format, data, 8)[0]
    if data_offset > min(len(data), header_offset + _MAX_HEADER_BYTES):
        limit = f"the body has {len(data)} bytes, and the limit is {_MAX_HEADER_BYTES}"
        raise UndecodableItems(Problem(f"the .npy header has {data_offset - header_offset} bytes; {limit}"))
    dtype, order, shape = _parse_header(data[header_offset:data_offset], encoding)
    n_required, n_given = prod(shape) * dtype.itemsize, len(data) - data_offset
    if n_required != n_given:
        raise UndecodableItems(
            Problem(f"the array of shape {list(shape)} needs {n_required} bytes, the body has {n_given}")
        )
    array = np.frombuffer(data, dtype=dtype, offset=data_offset)
    if dtype.kind == "f":
        array = array.astype(_READ_AS[dtype.itemsize], copy=False)
    try:
        return array.reshape(shape, order=order)
    except ValueError:
        raise UndecodableItems(Problem(f"the shape {list(shape)} is larger than that of any array")) from None


def to_npy(array: NDArray[Any]) -> bytes:
    """Return the content of a `.npy` file."""
    shape = "".join(f"{side}, " for side in array.shape)
    header = f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': ({shape}), }}"
    n_padding = -(10 + len(header) + 1) % 64  # the format asks for data aligned to 64 bytes
    head = _MAGIC + struct.pack("<BBH", 1, 0, len(header) + n_padding + 1)
    return head + f"{header}{' ' * n_padding}\n".encode() + array.tobytes()


@lru_cache(maxsize=64)
def _parse_header(header: bytes, encoding: str) -> tuple[np.dtype[Any], Any, tuple[int, ...]]:
    """Return the dtype, the memory order and the shape that a header declares.

    Raises:
        UndecodableItems: the header is not the literal of such a dictionary, or the dtype is not accepted.
    """
    fields = _literal(header, encoding)
    if not isinstance(fields, dict) or set(fields) != _KEYS:
        raise UndecodableItems(Problem(f"the .npy header is not a dictionary of {', '.join(sorted(_KEYS))}"))
    shape, is_fortran = fields["shape"], fields["fortran_order"]
    if type(shape) is not tuple or not all(type(side) is int and side >= 0 for side in shape):
        raise UndecodableItems(Problem("the shape in the .npy header is not a tuple of integers of at least 0"))
    if type(is_fortran) is not bool:
        raise UndecodableItems(Problem("fortran_order in the .npy header is neither True nor False"))
    return _dtype(fields["descr"]), "F" if is_fortran else "C", shape


def _literal(header: bytes, encoding: str) -> Any:
    """Return the Python literal in a header, or None if it has none. Python 2 wrote long integers as `28L`."""
    with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        text = header.decode(encoding).rstrip()
        if len(text) > _MAX_HEADER_CHARACTERS:
            return None
        try:
            return ast.literal_eval(text)
        except SyntaxError:
            return ast.literal_eval(re.sub(r"(?<=[0-9])L(?=\s*[,)])", "", text))
    return None


def _dtype(description: object) -> np.dtype[Any]:
    """Return the dtype of a header's `descr`, as a reader of NumPy spells it."""
    with suppress(TypeError, ValueError, SyntaxError):
        dtype = np.dtype(description) if isinstance(description, str) else None
        if dtype is not None and (dtype == np.uint8 or (dtype.kind == "f" and dtype.itemsize in _READ_AS)):
            return dtype
    accepted = "accepted are float16, float32, float64 and uint8, in either byte order"
    raise UndecodableItems(Problem(f"the array has dtype {str(description)[:100]}; {accepted}"))
