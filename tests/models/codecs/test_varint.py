"""Integers of variable length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.codecs.varint import decode_varint, encode_varint


@given(number=st.integers(0, 2**64 - 1), before=st.binary(max_size=3), after=st.binary(max_size=3))
def test_a_number_is_read_where_it_was_written(number: int, before: bytes, after: bytes) -> None:
    encoded = encode_varint(number)
    end = len(before) + len(encoded)
    assert decode_varint(before + encoded + after, len(before), max_bytes=10) == (number, end)


@pytest.mark.parametrize(("number", "encoded"), [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (150, b"\x96\x01")])
def test_known_numbers(number: int, encoded: bytes) -> None:
    """Source of the last: the guide to the encoding of protocol buffers."""
    assert encode_varint(number) == encoded


def test_a_number_of_too_many_bytes_is_refused() -> None:
    assert decode_varint(encode_varint(2**35 - 1), 0, max_bytes=5) == (2**35 - 1, 5)
    with pytest.raises(ValueError, match="no number of at most 5 bytes begins at byte 0"):
        decode_varint(encode_varint(2**35), 0, max_bytes=5)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\xff"])
def test_a_number_that_is_cut_short_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no number of at most 5 bytes begins at byte 0"):
        decode_varint(data, 0, max_bytes=5)
