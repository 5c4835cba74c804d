"""Vectors with fewer bits an element."""

import base64

import numpy as np
import pytest
from sentence_transformers.util.quantization import quantize_embeddings

from app.errors import InferenceFailed
from app.schemas.shared.vectors import quantize, render_vectors

VECTORS = np.random.default_rng(0).standard_normal((5, 21)).astype(np.float32)


@pytest.mark.parametrize("encoding", ["binary", "ubinary"])
def test_bits_are_those_of_sentence_transformers(encoding: str) -> None:
    found, scales = quantize(VECTORS, encoding)
    expected = np.asarray(quantize_embeddings(VECTORS, encoding))  # type: ignore[arg-type]
    assert scales is None
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_a_scale_gives_the_vector_back_to_half_a_step() -> None:
    signed, scales = quantize(VECTORS, "int8")
    unsigned, same = quantize(VECTORS, "uint8")
    assert scales is not None
    assert same is not None
    np.testing.assert_array_equal(scales, same)
    assert (signed.dtype.name, unsigned.dtype.name) == ("int8", "uint8")
    assert np.abs(signed.astype(int)).max(1).tolist() == [127] * 5
    np.testing.assert_array_equal(unsigned.astype(int) - 128, signed)
    assert (np.abs(signed * scales[:, None] - VECTORS) <= scales[:, None] * 0.501).all()


def test_a_vector_does_not_depend_on_the_others() -> None:
    together, _ = quantize(VECTORS, "int8")
    np.testing.assert_array_equal(together[2:3], quantize(VECTORS[2:3], "int8")[0])


def test_a_vector_of_zeros_stays_one() -> None:
    (output,) = render_vectors(np.zeros((1, 4), np.float32), "uint8")
    assert (output["embedding"].tolist(), output["scale"]) == ([128] * 4, 0.0)


def test_base64_is_of_little_endian_floats() -> None:
    outputs = render_vectors(VECTORS, "base64")
    found = [np.frombuffer(base64.b64decode(output["embedding"]), "<f4") for output in outputs]
    np.testing.assert_array_equal(found, VECTORS)


@pytest.mark.parametrize("encoding", ["base64", "int8", "ubinary"])
def test_a_number_that_is_not_finite_is_never_hidden(encoding: str) -> None:
    with pytest.raises(InferenceFailed):
        render_vectors(np.array([[1, np.nan]], np.float32), encoding)
