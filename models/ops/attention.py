"""Placeholder: to be described."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from models.ops.segments import Segments

MAX_FLASH_HEAD_WIDTH, FLASH_STEP = 256, 8


MAX_SHORT = 256
"""Tokens of a text whose attention the project's kernel for GPUs does faster than torch's."""


def by_head(x: Tensor, n_texts: int) -> Tensor:
    """Tokens `[N, H, d]` of texts of equal length, as `[B, H, T, d]`."""
    return x.view(n_texts, -1, *x.shape[1:]).transpose(1, 2)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """softmax(scale q k' + bias) v by plain products, `[…, Q, d]` of `[…, K, d]`, in the type of the scores."""
    scores = torch.matmul(q * scale, k.transpose(-1, -2))
    scores = scores if bias is None else scores + bias.to(scores.dtype)
    return torch.matmul(scores.softmax(-1, dtype=scores.dtype), v)


@cache
def _varlen() -> tuple[Callable[..., Any], dict[str, Any]] | None:
    """Torch's attention for rows of variable length, and what makes it causal; imported late, for it takes a second."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:  # torch before 2.10
        return None
    takes_window = "window_size" in inspect.signature(varlen_attn).parameters
    return varlen_attn, {"window_size": (-1, 0)} if takes_window else {"is_causal": True}


def flash_takes(q: Tensor) -> bool:
    """Whether `flash` takes such queries: of a GPU, in half precision."""
    is_half = q.dtype in (torch.float16, torch.bfloat16)
    fits = q.shape[-1] <= MAX_FLASH_HEAD_WIDTH and q.shape[-1] % FLASH_STEP == 0
    return q.is_cuda and is_half and fits and _varlen() is not None


def flash(q: Tensor, k: Tensor, v: Tensor, queries: Segments, keys: Segments, scale: float, *, causal: bool) -> Tensor:
    """softmax(scale q k') v, `[N, H, d]` of `[M, H, d]`: each text of the one row sees the same text of the other.

    If `causal`, the last token of a text sees all of it, the one before all but the last. Source: Dao 2023.
    """
    varlen = _varlen()
    assert varlen is not None  # noqa: S101 it takes these queries
    varlen_attn, causally = varlen
    longest = max(queries.lengths), max(keys.lengths)
    given = causally if causal else {}
    seen = varlen_attn(q, k, v, queries.bounds, keys.bounds, *longest, scale=scale, **given)
    whole: Tensor = seen if isinstance(seen, Tensor) else seen[0]
    return whole
