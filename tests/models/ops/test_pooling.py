"""One vector of each text, by kernels and by plain torch."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from models.ops import reference
from models.ops.pooling import pool
from models.ops.segments import Segments
from models.tasks.text import Pooling
from tests.models.ops.kernels import DTYPES, disable_cpu_kernels, needs_kernels

POOLINGS: list[Pooling] = [pooling for pooling in get_args(Pooling) if pooling != "none"]
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=40)


def pooled_one_by_one(x: Tensor, lengths: list[int], pooling: Pooling) -> Tensor:
    """Pool each text by the definition."""
    functions = {
        "mean": lambda text: text.mean(0),
        "cls": lambda text: text[0],
        "last": lambda text: text[-1],
        "max": lambda text: text.amax(0),
    }
    return torch.stack([functions[pooling](part) for part in torch.split(x.float(), lengths)])


@pytest.fixture(params=[pytest.param(True, marks=needs_kernels, id="kernels"), pytest.param(False, id="torch")])
def has_kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        disable_cpu_kernels(monkeypatch)
    return bool(request.param)


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pooling", POOLINGS)
@given(lengths=LENGTHS, width=st.integers(1, 70), data=st.data(), is_unit=st.booleans())
@settings(max_examples=40)
def test_kernels_and_plain_torch_equal_the_definition(
    dtype: torch.dtype, pooling: Pooling, lengths: list[int], width: int, data: st.DataObject, *, is_unit: bool
) -> None:
    torch.manual_seed(width)
    n_kept, order = data.draw(st.integers(1, width)), data.draw(st.permutations(range(len(lengths))))
    x = torch.randn(sum(lengths), width).to(dtype)
    expected = pooled_one_by_one(x, lengths, pooling)[:, :n_kept]
    expected = functional.normalize(expected, dim=-1) if is_unit else expected
    for implementation in (pool, reference.pool):
        found = implementation(x, Segments(lengths), order, pooling, n_kept, is_unit=is_unit)
        assert found.dtype == torch.float32
        assert_close(found[order], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_filler_after_the_texts_is_ignored(pooling: Pooling, *, has_kernels: bool) -> None:
    lengths = [2, 4, 5, 1, 1, 1]
    x = torch.randn(sum(lengths), 20)
    found = pool(x, Segments(lengths), [1, 2, 0], pooling, 20, is_unit=False)
    assert_close(found[[1, 2, 0]], pooled_one_by_one(x, lengths, pooling)[:3], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_zeros_stay_zeros_when_normalised(pooling: Pooling, *, has_kernels: bool) -> None:
    assert not pool(torch.zeros(5, 20), Segments([2, 3]), [0, 1], pooling, 20, is_unit=True).any()


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("token", [3, 4, 5])
@pytest.mark.parametrize("is_unit", [True, False])
def test_nan_stays_in_its_text(pooling: Pooling, token: int, *, is_unit: bool, has_kernels: bool) -> None:
    x = torch.randn(8, 20)
    x[token, 17] = math.nan
    found = pool(x, Segments([3, 3, 2]), [0, 1, 2], pooling, 20, is_unit=is_unit)
    assert found.isnan().any(1).tolist() == [False, True, False]
