"""Tensors of the Open Inference Protocol as NumPy arrays: from JSON or raw bytes, and back.

A tensor of the datatype BYTES holds texts in UTF-8. Raw numbers are little-endian; a raw text has its number of bytes
before it, in four bytes. Both are in row-major order.
"""

import math
import reprlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Fault, InvalidRequest
from models.cancellation import stop_if_abandoned
from models.codecs.number_lists import N_NUMBERS_AT_ONCE, are_many, split_lists

Numbers = NDArray[Any]

BYTES, BF16, BOOL = "BYTES", "BF16", "BOOL"
DTYPES = {
    BOOL: np.dtype(np.bool_),
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
"""The datatypes of numbers that NumPy has as well; BF16 is the only other one."""
LENGTH = struct.Struct("<I")
"""The number of bytes of a text, before the text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorHead:
    """What a request says about the data of a tensor, which has at least one element."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of elements, which may be more than any data holds."""
        return math.prod(self.shape)

    def refusal(self, detail: str) -> InvalidRequest:
        """Return the error of a tensor that is refused."""
        return InvalidRequest.of([Fault(f"/inputs/{self.name[:100]}", detail)])


def numbers_from_json(head: TensorHead, data: object) -> Numbers:
    """Return the numbers of a tensor whose data are JSON values, flat or nested.

    Raises:
        InvalidRequest: the data have another type, number or nesting than the tensor, or a number is out of range.
    """
    if head.datatype == BF16:
        raise head.refusal("BF16 is taken as raw bytes, and the data are JSON")
    dtype = DTYPES[head.datatype]
    kinds = {"b": (bool,), "u": (int,), "i": (int,), "f": (int, float)}[dtype.kind]
    expected = {"b": "booleans", "f": "numbers"}.get(dtype.kind, "whole numbers")
    try:
        with np.errstate(over="raise"):
            numbers = [
                part.astype(np.float64 if dtype.kind == "f" else dtype).astype(dtype)
                for part in _parts_from_json(head, data, kinds, expected)
            ]
    except (OverflowError, FloatingPointError):
        raise head.refusal(f"a number is beyond the range of {head.datatype}") from None
    return numbers[0] if len(numbers) == 1 else np.concatenate(numbers).reshape(head.shape)


def _parts_from_json(
    head: TensorHead, data: object, kinds: Sequence[type], expected: str
) -> "Iterator[np.ndarray[Any, np.dtype[np.object_]]]":
    """Yield JSON values in the shape of the tensor; many of them flat, in parts that do not hold up other threads."""
    if not isinstance(data, list) or not are_many(data):
        yield _values_from_json(head, data, kinds, expected)
        return
    shape, parts = split_lists(data)
    if shape not in (head.shape, (head.size,)):
        raise head.refusal(f"the data have the shape {list(shape)}, and the tensor {list(head.shape)}")
    for part in parts:
        stop_if_abandoned()
        if part is None:
            raise head.refusal("the data are lists of unequal length")
        if not set(map(type, part)) <= set(kinds):
            value = next(value for value in part if type(value) not in kinds)
            raise head.refusal(f"an element is {reprlib.repr(value)}; {head.datatype} takes {expected}")
        values = np.empty(len(part), np.object_)
        values[:] = part
        yield values


def texts_from_json(head: TensorHead, data: object) -> list[str]:
    """Return the texts of a tensor whose data are JSON strings, flat or nested, in row-major order.

    Raises:
        InvalidRequest: the data have another type, number or nesting than the tensor.
    """
    if isinstance(data, list) and head.size <= N_NUMBERS_AT_ONCE and are_many(data):
        raise head.refusal(f"the data have more than {N_NUMBERS_AT_ONCE} elements, and the tensor {head.size}")
    texts: list[str] = _values_from_json(head, data, (str,), "strings").ravel().tolist()
    return texts


def _values_from_json(
    head: TensorHead, data: object, kinds: Sequence[type], expected: str
) -> "np.ndarray[tuple[int, ...], np.dtype[np.object_]]":
    """Return JSON values in the shape of the tensor; `expected` names the values of these kinds."""
    if not isinstance(data, list):
        raise head.refusal(f"the data must be a list of {expected}, and are {reprlib.repr(data)}")
    values = np.array(data, dtype=np.object_)
    flat = values.ravel().tolist()
    if not set(map(type, flat)) <= set(kinds):
        index, value = next((index, value) for index, value in enumerate(flat) if type(value) not in kinds)
        ragged = ", in lists of unequal length or too deep" if isinstance(value, list) else ""
        detail = f"element {index} is {reprlib.repr(value)}{ragged}; {head.datatype} takes {expected}"
        raise head.refusal(detail)
    if values.shape not in (head.shape, (head.size,)):
        detail = f"the data have the shape {list(values.shape)}, and the tensor {list(head.shape)}"
        raise head.refusal(f"{detail}, of {head.size} elements")
    return values.reshape(head.shape)


def numbers_from_bytes(head: TensorHead, raw: memoryview) -> Numbers:
    """Return the numbers of a tensor whose data are raw bytes. They are not copied, but for BF16.

    Raises:
        InvalidRequest: the number of bytes is not that of the tensor.
    """
    dtype = np.dtype("<u2") if head.datatype == BF16 else DTYPES[head.datatype]
    if len(raw) != head.size * dtype.itemsize:
        takes = f"{list(head.shape)} of {head.datatype} takes {head.size * dtype.itemsize}"
        raise head.refusal(f"the tensor has {len(raw)} bytes, and the shape {takes}")
    if head.datatype == BF16:  # the upper half of a float32
        bits = np.frombuffer(raw, dtype).astype("<u4") << 16
        return bits.view("<f4").reshape(head.shape)
    if head.datatype == BOOL:
        return np.not_equal(np.frombuffer(raw, np.uint8), 0).reshape(head.shape)
    return np.frombuffer(raw, dtype).reshape(head.shape)


def texts_from_bytes(head: TensorHead, raw: memoryview) -> list[str]:
    """Return the texts of a tensor whose data are raw bytes, in row-major order.

    Raises:
        InvalidRequest: the bytes are not as many texts as the tensor has, or a text is not UTF-8.
    """
    texts: list[str] = []
    at = 0
    while at < len(raw):
        start = at + LENGTH.size
        end = start + LENGTH.unpack_from(raw, at)[0] if start <= len(raw) else start
        if end > len(raw):
            raise head.refusal(f"element {len(texts)} ends at byte {end}, and the tensor has {len(raw)} bytes")
        if len(texts) == head.size:
            raise head.refusal(f"the tensor has {len(raw)} bytes; its {head.size} elements end at byte {at}")
        try:
            texts.append(str(raw[start:end], "utf-8"))
        except UnicodeDecodeError as error:
            raise head.refusal(f"element {len(texts)} is not UTF-8 at its byte {error.start}") from None
        at = end
    if len(texts) != head.size:
        raise head.refusal(f"the tensor has {len(texts)} elements; the shape {list(head.shape)} takes {head.size}")
    return texts


def raw_numbers(array: Numbers, datatype: str) -> memoryview:
    """Return the raw bytes of numbers, which are copied only if they have another datatype or order."""
    return np.ascontiguousarray(array, DTYPES[datatype]).data.cast("B")


def raw_texts(texts: Sequence[str]) -> bytes:
    """Return the raw bytes of texts."""
    encoded = [text.encode() for text in texts]
    return b"".join(part for text in encoded for part in (LENGTH.pack(len(text)), text))
