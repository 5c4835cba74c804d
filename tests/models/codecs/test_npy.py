"""NumPy files against `numpy.lib.format`."""

import io
import re
import struct
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray

from models.codecs.npy import parse_npy, to_npy
from models.errors import UndecodableItems


def saved(array: NDArray[Any], version: tuple[int, int] = (1, 0)) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version)
    return file.getvalue()


def header(text: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


floats = nps.arrays(
    st.sampled_from(["<f4", ">f4", "<f8", ">f8", "u1", "<f2", ">f2"]).map(np.dtype),
    nps.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


@given(array=floats, version=st.sampled_from([(1, 0), (2, 0), (3, 0)]))
def test_files_that_numpy_saves_are_read(array: NDArray[Any], version: tuple[int, int]) -> None:
    read = parse_npy(saved(array, version))
    assert read.dtype == {1: np.uint8, 2: np.float32, 4: np.float32, 8: np.float64}[array.itemsize]
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)


@given(floats)
def test_fortran_order_is_read(array: NDArray[Any]) -> None:
    np.testing.assert_array_equal(parse_npy(saved(np.asfortranarray(array))), np.asfortranarray(array))


@st.composite
def spelt_headers(draw: st.DrawFn) -> str:
    """A header of a float32 array `[2, 3]`, in any order and spelling."""
    quote, comma, colon = (
        draw(st.sampled_from("'\"")),
        draw(st.sampled_from([",", ", ", " ,  "])),
        draw(st.sampled_from([":", " : "])),
    )
    shape = draw(st.sampled_from(["(2, 3)", "(2,3)", "(2, 3,)", "( 2 ,3 )", "(2L, 3L)"]))
    entries = {
        "descr": draw(st.sampled_from(["'<f4'", '"<f4"', "'float32'", "'f4'", "'=f4'", "u'<f4'"])),
        "fortran_order": draw(st.sampled_from(["False", "True"])),
        "shape": shape,
    }
    parts = [f"{quote}{name}{quote}{colon}{entries[name]}" for name in draw(st.permutations(sorted(entries)))]
    end = draw(st.sampled_from(["", ",", ", "]))
    return "{" + comma.join(parts) + end + "}" + " " * draw(st.integers(0, 70)) + draw(st.sampled_from(["", "\n"]))


@given(spelt_headers(), st.sampled_from([1, 2]))
def test_a_header_is_read_in_any_order_and_spelling_that_numpy_reads(text: str, version: int) -> None:
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    data = b"\x93NUMPY" + bytes([version, 0]) + length + text.encode() + np.arange(6, dtype="<f4").tobytes()
    with warnings.catch_warnings():  # NumPy warns of the integers of Python 2
        warnings.simplefilter("ignore")
        expected = np.load(io.BytesIO(data))
    np.testing.assert_array_equal(parse_npy(data), expected)


@pytest.mark.parametrize("dtype", ["<i8", "<u2", ">i4", "|i1", "|b1", "<c8", "<M8[s]", "|S3", "<U2", "|V4"])
def test_a_dtype_that_is_not_accepted_is_named(dtype: str) -> None:
    with pytest.raises(UndecodableItems, match=re.escape(f"dtype {dtype}; accepted are float16, float32, float64 and")):
        parse_npy(saved(np.zeros(2, dtype)))


@pytest.mark.parametrize("text", ["(" * 500, "-" * 900 + "1", "[" * 90 + "]" * 90, "9" * 1000, "\xff", "{'a': {}.b()}"])
def test_headers_that_are_hard_to_parse_are_refused(text: str) -> None:
    for version in (1, 3):
        encoded = text.encode("latin-1")
        length = struct.pack("<H" if version == 1 else "<I", len(encoded))
        with pytest.raises(UndecodableItems, match="is not a dictionary of descr, fortran_order, shape"):
            parse_npy(b"\x93NUMPY" + bytes([version, 0]) + length + encoded)


@given(floats)
def test_numpy_loads_the_files_that_are_written(array: NDArray[Any]) -> None:
    data = to_npy(array)
    loaded = np.load(io.BytesIO(data), allow_pickle=False)
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)
    assert data.index(b"\n") % 64 == 63  # aligned


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a .npy file"),
        (b"\x93NUMPY", "not a .npy file"),
        (b"\x93NUMPY\x04\x00" + b"\0" * 20, "not a .npy file of version 1.0, 2.0 or 3.0"),
        (b"PK\x03\x04" + b"\0" * 20, "not a .npy file"),
        (b"\x93NUMPY\x01\x00\xff\xff{}", "header"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'extra': __import__('os')}\n"), "header"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'extra': 1}\n"), "not a dictionary of"),
        (header("{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}\n"), "neither True nor False"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': [3]}\n"), "not a tuple of integers"),
        (header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}\n"), "dtype [('a', '<f4')]"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }\n"), "header"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999,), }\n"), "needs 39999999996 bytes"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", b"\0" * 7), "the body has 7"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1" * 96 + "x), }\n"), "header"),
        (header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", b"\0" * 8), "dtype |O"),
        (header("{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }\n", b"\0" * 8), "dtype <i8"),
        (
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 999999999999, 0), }\n"),
            "the shape [999999999999, 999999999999, 0] is larger than that of any array",
        ),
        (saved(np.zeros(3))[:-1], "needs 24 bytes, the body has 23"),
        (saved(np.zeros(3)) + b"\0", "needs 24 bytes, the body has 25"),
    ],
)
def test_files_with_a_false_header_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(UndecodableItems, match=re.escape(message)):
        parse_npy(data)


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda tail: saved(np.zeros((2, 2)))[:100] + tail))
def test_arbitrary_bytes_are_parsed_or_refused(data: bytes) -> None:
    with suppress(UndecodableItems):
        assert parse_npy(data).nbytes <= len(data)
