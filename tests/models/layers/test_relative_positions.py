"""The bias of distances beside the implementation of `transformers`."""

from typing import Any

import pytest
import torch
import transformers

from models.layers.relative_positions import RelativePositionBias

N_BUCKETS, MAX_DISTANCE, N_HEADS = 32, 128, 3


def test_distances_have_the_buckets_of_the_reference() -> None:
    bias = RelativePositionBias(N_BUCKETS, MAX_DISTANCE, N_HEADS)
    distances = torch.arange(-700, 701)
    encoder: Any = transformers.models.mpnet.modeling_mpnet.MPNetEncoder
    expected = encoder.relative_position_bucket(distances, N_BUCKETS, MAX_DISTANCE)
    assert torch.equal(bias.buckets_of(distances), expected)
    assert set(expected.tolist()) == set(range(N_BUCKETS)) - {N_BUCKETS // 2}  # the query is not after itself


@pytest.mark.parametrize("length", [1, 2, 9, 300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_number_of_a_pair_is_that_of_its_distance(length: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    bias = RelativePositionBias(N_BUCKETS, MAX_DISTANCE, N_HEADS).to(dtype)
    places = torch.arange(length)
    expected = bias.buckets(bias.buckets_of(places[None, :] - places[:, None])).permute(2, 0, 1)
    found = bias(length)
    assert (found.dtype, found.shape) == (dtype, (N_HEADS, length, length))
    assert torch.equal(found, expected)


def test_shorter_texts_have_the_first_rows_and_columns() -> None:
    bias = RelativePositionBias(N_BUCKETS, MAX_DISTANCE, N_HEADS)
    assert torch.equal(bias(200)[:, :7, :7], bias(7))


def test_every_bucket_that_is_used_has_a_gradient() -> None:
    bias = RelativePositionBias(N_BUCKETS, MAX_DISTANCE, N_HEADS)
    bias(3).sum().backward()
    gradient = bias.buckets.weight.grad
    assert gradient is not None
    assert gradient[:, 0].nonzero().flatten().tolist() == [0, 1, 2, 17, 18]
    assert gradient[[0, 1, 2, 17, 18], 0].tolist() == [3, 2, 1, 2, 1]
