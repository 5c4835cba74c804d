import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.autoencoding.compression.stream import MAX_RANK, Mode, Stream, declared_n_items, parse_stream
from models.errors import InvalidItems

DIGEST = b"abcdefgh"

streams = st.builds(
    Stream,
    mode=st.sampled_from(Mode),
    bits=st.integers(1, 16),
    digest=st.just(DIGEST),
    n_items=st.integers(0, 2**34),
    shape=st.lists(st.integers(0, 2**34), max_size=MAX_RANK).map(tuple),
    words=st.lists(st.integers(0, 2**32 - 1), max_size=20).map(lambda words: np.array(words, dtype=np.uint32)),
)


@given(streams)
def test_a_stream_survives_the_round_trip(stream: Stream) -> None:
    data = stream.to_bytes()
    parsed = parse_stream(data, digest=DIGEST)
    assert (parsed.mode, parsed.bits, parsed.n_items) == (stream.mode, stream.bits, stream.n_items)
    assert parsed.shape == stream.shape
    np.testing.assert_array_equal(parsed.words, stream.words)
    assert declared_n_items(data) == stream.n_items


@given(stream=streams, data=st.data())
def test_any_damaged_byte_and_any_truncation_is_detected(stream: Stream, data: st.DataObject) -> None:
    good = stream.to_bytes()
    index = data.draw(st.integers(0, len(good) - 1))
    difference = data.draw(st.integers(1, 255))
    changed = good[:index] + bytes([good[index] ^ difference]) + good[index + 1 :]
    for bad in (changed, good[:index], good + b"\0"):
        with pytest.raises(InvalidItems):
            parse_stream(bad, digest=DIGEST)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(noise: bytes) -> None:
    for data in (noise, b"MFLD" + noise):
        with pytest.raises(InvalidItems):
            parse_stream(data, digest=DIGEST)


@pytest.mark.parametrize("data", [b"", b"MFLD", b"\xff" * 100])
def test_data_that_declare_no_number_of_items_count_as_none(data: bytes) -> None:
    assert declared_n_items(data) == 0


def test_the_error_about_another_models_stream_names_both_models() -> None:
    stream = Stream(mode=Mode.QUANTISED, bits=8, digest=b"another.", n_items=1, shape=(2,), words=np.array([1], "u4"))
    with pytest.raises(InvalidItems, match=f"its digest is {b'another.'.hex()}, here it is {DIGEST.hex()}"):
        parse_stream(stream.to_bytes(), digest=DIGEST)
