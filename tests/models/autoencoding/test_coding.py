"""Requests that `compress` refuses, and streams that `decompress` refuses; the contract tests have the others."""

import numpy as np
import pytest
import torch

from models.autoencoding.coding import compress, decompress
from models.autoencoding.compression.stream import Mode, Stream
from models.errors import InvalidItems
from models.tasks.autoencoding import CompressRequest, DecompressRequest
from tests.models.tiny import build_case


def stream(mode: Mode = Mode.QUANTISED, shape: tuple[int, ...] = (1, 4, 4), n_items: int = 1, bits: int = 8) -> bytes:
    words = np.array([1, 2, 3, 4, 5], dtype=np.uint32)
    return Stream(mode=mode, bits=bits, digest=bytes(8), n_items=n_items, shape=shape, words=words).to_bytes()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (CompressRequest(items=(torch.zeros(1, 4, 4),), bits=0), "bits is 0; it must be 1 to 16"),
        (CompressRequest(items=(torch.zeros(1, 4, 4),), bits=17), "bits is 17; it must be 1 to 16"),
        (CompressRequest(items=(torch.zeros(2), torch.zeros(3))), "must have one shape"),
        (CompressRequest(items=(torch.zeros(1, 4, 4),), lossless=True), "this model has no lossless coding"),
    ],
)
def test_requests_that_the_model_cannot_serve_are_refused(request_: CompressRequest, message: str) -> None:
    with pytest.raises(InvalidItems, match=message):
        compress(build_case("vanilla-0"), [request_])


def test_only_binary_items_are_coded_without_loss() -> None:
    items = torch.zeros(2, 1, 4, 4)
    items[1, 0, 2, 3] = 0.5
    with pytest.raises(InvalidItems, match=r"the value 0\.5 is neither 0 nor 1") as error:
        compress(build_case("variational-0"), [CompressRequest(items=tuple(items), lossless=True)])
    assert [problem.index for problem in error.value.problems] == [1]


def test_a_gaussian_likelihood_has_no_lossless_coding() -> None:
    assert build_case("variational-0").lossless_coder is not None
    assert build_case("variational-2").lossless_coder is None
    with pytest.raises(InvalidItems, match="this model has no lossless coding"):
        compress(build_case("variational-2"), [CompressRequest(items=(torch.zeros(1, 4, 4),), lossless=True)])


@pytest.mark.parametrize(
    ("case", "data", "message"),
    [
        ("vanilla-0", stream(n_items=4), "the stream has 4 items; a request takes 1 to 3"),
        ("vanilla-0", stream(n_items=0), "the stream has 0 items"),
        ("vanilla-0", stream(shape=(4, 4)), r"have the shape \[4, 4\], the model's \[1, 4, 4\]"),
        ("recurrent-0", stream(shape=(13, 1)), r"have the shape \[13, 1\], the model's \[1 to 12, 1\]"),
        ("recurrent-0", stream(shape=(7, 2)), r"have the shape \[7, 2\], the model's \[1 to 12, 1\]"),
        ("recurrent-0", stream(shape=(7,)), r"have the shape \[7\], the model's \[1 to 12, 1\]"),
        ("vanilla-0", stream(), "the stream's payload makes no sense"),
        ("vanilla-0", stream(bits=17), "the stream's payload makes no sense"),
        ("vanilla-0", stream(Mode.LOSSLESS), "the stream's payload makes no sense"),
        ("variational-0", stream(Mode.LOSSLESS), "the stream's payload makes no sense"),
        ("variational-1", stream(Mode.LOSSLESS), "the stream's payload makes no sense"),
        ("variational-2", stream(Mode.LOSSLESS), "the stream's payload makes no sense"),
    ],
)
def test_streams_that_the_model_cannot_have_made_are_refused(case: str, data: bytes, message: str) -> None:
    with pytest.raises(InvalidItems, match=message):
        decompress(build_case(case), [DecompressRequest(stream=data, max_items=3)])
