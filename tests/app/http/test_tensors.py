"""Tensors of the Open Inference Protocol: from JSON and raw bytes to arrays, and back."""

import struct
import tracemalloc
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.errors import InvalidRequest
from app.http.tensors import (
    DTYPES,
    TensorHead,
    numbers_from_bytes,
    numbers_from_json,
    raw_numbers,
    raw_texts,
    texts_from_bytes,
    texts_from_json,
)

DATATYPES = [*DTYPES, "BF16", "BYTES"]
ARRAYS = st.sampled_from(list(DTYPES)).flatmap(
    lambda datatype: arrays.arrays(DTYPES[datatype], arrays.array_shapes(max_dims=3, max_side=4)).map(
        lambda array: (datatype, array)
    )
)


def head(datatype: str, *shape: int) -> TensorHead:
    return TensorHead(name="input", datatype=datatype, shape=shape)


@given(ARRAYS)
def test_numbers_survive_raw_bytes(case: tuple[str, Any]) -> None:
    datatype, array = case
    raw = raw_numbers(array, datatype)
    assert raw.tobytes() == array.tobytes()
    back = numbers_from_bytes(head(datatype, *array.shape), raw)
    np.testing.assert_array_equal(back, array)


@given(ARRAYS, st.booleans())
def test_numbers_survive_json(case: tuple[str, Any], flat: bool) -> None:
    datatype, array = case
    data = (array.ravel() if flat else array).tolist()
    back = numbers_from_json(head(datatype, *array.shape), data)
    assert back.dtype == DTYPES[datatype]
    np.testing.assert_array_equal(back, array)


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_texts_survive_raw_bytes_and_json(texts: list[str]) -> None:
    assert texts_from_bytes(head("BYTES", len(texts)), memoryview(raw_texts(texts))) == texts
    assert texts_from_json(head("BYTES", len(texts)), texts) == texts


def test_raw_numbers_are_not_copied() -> None:
    raw = memoryview(bytes(4 * 1024))
    array = numbers_from_bytes(head("FP32", 32, 32), raw)
    assert np.shares_memory(array, np.frombuffer(raw, np.uint8))
    assert np.shares_memory(np.frombuffer(raw_numbers(array, "FP32"), np.uint8), array)


def test_bfloat16_is_the_upper_half_of_a_float32() -> None:
    exact = np.array([0.0, 1.0, -2.5, 0.15625, 3.0e38], np.float32)
    halves = (exact.view(np.uint32) >> 16).astype("<u2")
    widened = numbers_from_bytes(head("BF16", 5), memoryview(halves.tobytes()))
    np.testing.assert_allclose(widened, exact, rtol=2**-7)
    assert widened[2] == -2.5


@pytest.mark.parametrize(
    ("datatype", "data", "message"),
    [
        ("UINT8", [256, 0], "beyond the range of UINT8"),
        ("UINT8", [-1, 0], "beyond the range of UINT8"),
        ("INT64", [2**63, 0], "beyond the range of INT64"),
        ("FP32", [1e39, 0], "beyond the range of FP32"),
        ("FP16", [1e5, 0], "beyond the range of FP16"),
        ("FP64", [10**400, 0], "beyond the range of FP64"),
        ("INT8", [1.5, 0], "element 0 is 1.5; INT8 takes whole numbers"),
        ("INT8", [0, True], "element 1 is True; INT8 takes whole numbers"),
        ("BOOL", [0, 1], "element 0 is 0; BOOL takes booleans"),
        ("FP32", [0.5, "0.5"], "element 1 is '0.5'; FP32 takes numbers"),
        ("FP32", [0.5, None], "element 1 is None"),
        ("FP32", [0.5, {}], "element 1 is {}"),
        ("FP32", [[0.5], [0.5, 1]], "in lists of unequal length"),
        ("FP32", [0.5], r"the shape \[1\], and the tensor \[2\], of 2 elements"),
        ("FP32", [[0.5, 1]], r"the shape \[1, 2\]"),
        ("FP32", 0.5, "the data must be a list of numbers, and are 0.5"),
        ("BF16", [0.5, 1], "raw bytes"),
    ],
)
def test_json_that_does_not_fit_is_refused(datatype: str, data: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=f"/inputs/input: .*{message}"):
        numbers_from_json(head(datatype, 2), data)


def test_raw_bytes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"has 7 bytes, and the shape \[2\] of FP32 takes 8"):
        numbers_from_bytes(head("FP32", 2), memoryview(bytes(7)))
    for raw, message in (
        (b"\2\0\0\0ab\1\0\0", "element 1 ends at byte 10, and the tensor has 9 bytes"),
        (b"\2\0\0\0ab\xff\xff\xff\xffc", "element 1 ends at byte 4294967305"),
        (b"\2\0\0\0ab", r"has 1 elements; the shape \[2\] takes 2"),
        (struct.pack("<I", 0) * 3, "its 2 elements end at byte 8"),
        (b"\1\0\0\0a\1\0\0\0\xff", "element 1 is not UTF-8 at its byte 0"),
    ):
        with pytest.raises(InvalidRequest, match=message):
            texts_from_bytes(head("BYTES", 2), memoryview(raw))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
)
SHAPES = st.lists(st.integers(1, 2**63 - 1) | st.integers(1, 3), max_size=16).map(tuple)


@settings(max_examples=300)
@given(st.sampled_from(DATATYPES), SHAPES, JSON, st.binary(max_size=64))
def test_whatever_comes_is_a_tensor_of_its_shape_or_refused(
    datatype: str, shape: tuple[int, ...], data: Any, raw: bytes
) -> None:
    given_head = head(datatype, *shape)
    readers: tuple[Any, Any] = (numbers_from_json, numbers_from_bytes)
    if datatype == "BYTES":
        readers = (texts_from_json, texts_from_bytes)
    tracemalloc.start()
    try:
        for read, content in zip(readers, (data, memoryview(raw)), strict=True):
            with suppress(InvalidRequest):
                values = read(given_head, content)
                assert len(values) == given_head.size if datatype == "BYTES" else values.shape == shape
        assert tracemalloc.get_traced_memory()[1] < 2**22, "more than the data need"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("datatype", ["FP32", "INT32", "BOOL"])
@pytest.mark.parametrize("is_flat", [True, False])
def test_many_numbers_are_read_as_few_are(datatype: str, is_flat: bool) -> None:
    array = (np.arange(60_000) % 2).astype(DTYPES[datatype]).reshape(3, 20, 1000)
    head = TensorHead(name="x", datatype=datatype, shape=array.shape)
    read = numbers_from_json(head, array.ravel().tolist() if is_flat else array.tolist())
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        ([0] * 59_999, r"the data have the shape \[59999\], and the tensor \[3, 20000\]"),
        ([[0] * 20_000, [0] * 20_001, [0] * 19_999], "lists of unequal length"),
        ([[0] * 20_000, [0] * 20_000, [*[0] * 19_999, "x"]], "an element is 'x'; FP32 takes numbers"),
        ([[0] * 20_000, [0] * 20_000, [*[0] * 19_999, 10**60]], "beyond the range of FP32"),
        ([[[0] * 60_000]], r"the data have the shape \[1, 1, 60000\]"),
    ],
)
def test_many_numbers_that_do_not_fit_are_refused(data: object, detail: str) -> None:
    with pytest.raises(InvalidRequest, match=detail):
        numbers_from_json(TensorHead(name="x", datatype="FP32", shape=(3, 20_000)), data)
