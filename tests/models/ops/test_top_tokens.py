"""The likeliest token and its log-probability, by each implementation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.ops.top_tokens import list_top_tokens, top_tokens
from tests.models.ops.kernels import DTYPES, disable_cpu_kernels, needs_kernels, no_cpu_kernels


@pytest.mark.parametrize("dtype", DTYPES or [torch.float32])
@given(scores=st.lists(st.integers(-40, 40), min_size=1, max_size=90))
@settings(max_examples=60)
def test_the_first_of_the_likeliest_is_found(dtype: torch.dtype, scores: list[int]) -> None:
    rows = torch.tensor([scores, scores[::-1]]).to(dtype)
    found = list_top_tokens(rows)
    with no_cpu_kernels():
        plain = list_top_tokens(rows)
    for row, (token, log_prob), (plain_token, plain_log_prob) in zip(rows, found, plain, strict=True):
        assert token == plain_token == row.tolist().index(max(scores))
        assert log_prob == pytest.approx(float(row.float().log_softmax(-1)[token]), abs=1e-5)
        assert plain_log_prob == pytest.approx(log_prob, abs=1e-5)


@needs_kernels
@pytest.mark.parametrize("has_kernels", [True, False])
def test_the_log_probability_is_nan_where_a_logit_is(monkeypatch: pytest.MonkeyPatch, *, has_kernels: bool) -> None:
    if not has_kernels:
        disable_cpu_kernels(monkeypatch)
    found = list_top_tokens(torch.tensor([[1.0, math.nan, 2.0], [1.0, 2.0, 0.0], [math.nan] * 3]))
    assert [token for token, log_prob in found if not math.isnan(log_prob)] == [1]


def test_a_tensor_has_the_same_in_double_precision() -> None:
    logits = torch.randn(5, 30)
    top = top_tokens(logits)
    assert (top.shape, top.dtype) == ((2, 5), torch.float64)
    assert top[0].tolist() == [token for token, _ in list_top_tokens(logits)]
