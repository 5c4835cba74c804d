"""Attention on GPUs by torch's function for texts of variable length in one row (Dao 2023)."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from models.ops.segments import Segments

MAX_HEAD_WIDTH = 256
"""Maximum width of a head."""

HEAD_WIDTH_MULTIPLE = 8
"""The width of a head must be a multiple of this."""


def supports_flash(q: Tensor) -> bool:
    """Return whether `flash_attention` supports queries, `[N, H, d]`: on a GPU, in half precision, of some widths."""
    is_half = q.dtype in (torch.float16, torch.bfloat16)
    fits = q.shape[-1] <= MAX_HEAD_WIDTH and q.shape[-1] % HEAD_WIDTH_MULTIPLE == 0
    return q.is_cuda and is_half and fits and _varlen_attention() is not None


def flash_attention(
    q: Tensor, k: Tensor, v: Tensor, queries: Segments, keys: Segments, scale: float, *, causal: bool
) -> Tensor:
    """Return softmax(scale q k') v from each text of the queries to the same text of the keys: `[N, H, d]`.

    If `causal`, the last query of a text attends to all its keys, the one before to all but the last.
    """
    varlen = _varlen_attention()
    assert varlen is not None  # noqa: S101 `supports_flash` was asked
    function, causal_arguments = varlen
    arguments = causal_arguments if causal else {}
    longest = max(queries.lengths), max(keys.lengths)
    attended = function(q, k, v, queries.bounds, keys.bounds, *longest, scale=scale, **arguments)
    output: Tensor = attended if isinstance(attended, Tensor) else attended[0]
    return output


@cache
def _varlen_attention() -> tuple[Callable[..., Any], dict[str, Any]] | None:
    """Return torch's function, and the arguments that make it causal. Importing it takes a second."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:  # torch before 2.10
        return None
    has_window = "window_size" in inspect.signature(varlen_attn).parameters
    return varlen_attn, {"window_size": (-1, 0)} if has_window else {"is_causal": True}
