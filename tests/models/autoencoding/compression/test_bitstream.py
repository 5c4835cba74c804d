import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.autoencoding.compression.stream import Mode, Stream, parse
from models.errors import InvalidItems

DIGEST = b"abcdefgh"

streams = st.builds(
    Stream,
    mode=st.sampled_from(Mode),
    bits=st.integers(1, 16),
    digest=st.just(DIGEST),
    n_items=st.integers(0, 2**34),
    shape=st.lists(st.integers(0, 2**34), max_size=8).map(tuple),
    words=st.lists(st.integers(0, 2**32 - 1), max_size=20).map(lambda words: np.array(words, dtype=np.uint32)),
)


@given(streams)
def test_a_container_survives_its_bytes(stream: Stream) -> None:
    read = parse(stream.to_bytes(), digest=DIGEST)
    assert (read.mode, read.bits, read.n_items, read.shape) == (stream.mode, stream.bits, stream.n_items, stream.shape)
    np.testing.assert_array_equal(read.words, stream.words)


@given(stream=streams, data=st.data())
def test_any_change_is_noticed(stream: Stream, data: st.DataObject) -> None:
    good = stream.to_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = good[:place] + bytes([good[place] ^ flip]) + good[place + 1 :]
    for bad in (changed, good[:place], good + b"\0"):
        with pytest.raises(InvalidItems):
            parse(bad, digest=DIGEST)


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    for data in (noise, b"MFLD" + noise):
        with pytest.raises(InvalidItems):
            parse(data, digest=DIGEST)


def test_another_models_stream_names_both() -> None:
    stream = Stream(mode=Mode.QUANTISED, bits=8, digest=b"another.", n_items=1, shape=(2,), words=np.array([1], "u4"))
    with pytest.raises(InvalidItems, match=f"its digest is {b'another.'.hex()}, here it is {DIGEST.hex()}"):
        parse(stream.to_bytes(), digest=DIGEST)
