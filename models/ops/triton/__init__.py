"""On GPUs, in Triton: what torch does in several passes over memory, or in tiles that are too large for short texts.

Without Triton, which torch's builds for Linux and CUDA bring along, or where it does not work, models use torch's
operations instead.

Shapes: `N` rows or tokens, `I` width, `B` texts, `H` heads, `d` width of a head, `T` tokens there is room for, `V`
vocabulary.
"""

from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.ops.devices import to_device
from models.ops.segments import Segments, counted
from models.tasks.text import Pooling

try:
    import triton.language
except ImportError:  # torch for CPUs alone
    triton = None
else:
    from models.ops.triton import kernels


MAX_WIDTH, MAX_HEAD_BYTES = 8192, 256


_BLOCK, _REMEMBERED, _WORDS, _TILE = 64, 128, 4096, 8192
"""Tokens, those that are remembered, words of the vocabulary, and elements of several tokens, at once."""


@cache
def unavailable_reason() -> str | None:
    """Why there are no kernels for GPUs here; None where there are. The smallest is compiled and run."""
    if triton is None:
        return "Triton is not installed"
    try:
        its = torch.zeros((1, 1), device="cuda"), torch.zeros((2, 1), dtype=torch.float64, device="cuda")
        kernels.likeliest[(1,)](*its, 1, 1, 1, _WORDS)
    except Exception as error:
        return f"Triton does not work here, which takes a C compiler and Python's headers: {error}"
    return None


def supports_tensor(x: Tensor) -> bool:
    """Whether there are kernels for such values, and none is to be learnt through them."""
    is_learning = torch.is_grad_enabled() and x.requires_grad
    return x.is_cuda and not is_learning and unavailable_reason() is None


def supports_add_norm(x: Tensor) -> bool:
    """Whether `add_norm` takes such rows, `[N, I]`, each of which is computed in one piece."""
    return supports_tensor(x) and x.shape[1] <= MAX_WIDTH


def supports_attention(q: Tensor) -> bool:
    """Whether `attend` takes such queries, `[N, H, d]`, which must fit in the memory of a multiprocessor."""
    return supports_tensor(q) and q.shape[-1] * q.element_size() <= MAX_HEAD_BYTES


def add_norm(x: Tensor, added: Tensor, norm: nn.LayerNorm) -> Tensor:
    """LayerNorm(x + added): `[N, I]`, each row in one piece, to the same."""
    return _added(x, added, norm, None)


def add_then_norm(x: Tensor, added: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """x + added, and its norm."""
    total = torch.empty_like(x)
    return total, _added(x, added, norm, total)


def _added(x: Tensor, added: Tensor, norm: nn.LayerNorm, total: Tensor | None) -> Tensor:
    out = torch.empty_like(x)
    width = x.shape[1]
    to = out if total is None else total
    its = x, added, norm.weight, norm.bias, out, to, x.stride(0), added.stride(0), width, norm.eps
    _launch(kernels.add_norm, (len(x), 1, 1), its, (power_of_2(width), total is not None))
    return out


def attend(q: Tensor, k: Tensor, v: Tensor, blocks: Tensor, scale: float, *, causal: bool) -> Tensor:
    """softmax(scale q k') v within each text, `[N, H, d]` to the same; the products in the type of q.

    `blocks` are those of `blocks_of`, on the GPU. Source: Dao 2023, algorithm 1.
    """
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    n_heads, width = q.shape[1:]
    n_blocks = blocks.shape[1]
    its = q, k, v, blocks, out, q.stride(0), k.stride(0), v.stride(0), width, scale, n_blocks
    _launch(kernels.attend, (n_blocks, n_heads, 1), its, (_wide(width), _BLOCK, causal))
    return out


def remember(k: Tensor, v: Tensor, memory: Tensor, rows: Tensor, tokens: Tensor) -> None:
    """Write keys and values, `[N, H, d]`, to their rows, none where negative, and places there, two of `[N]`, integers.

    `memory` is that of `attend_remembered`.
    """
    n_heads, width = k.shape[1:]
    strides = k.stride(0), v.stride(0), memory.stride(0), memory.stride(1), memory.stride(2)
    its = k, v, memory, rows, tokens, *strides, n_heads * width, width
    _launch(kernels.remember, (len(k), 1, 1), its, (power_of_2(n_heads * width),))


def attend_remembered(
    q: Tensor, new: tuple[Tensor, Tensor] | None, memory: Tensor, last: Tensor, scale: float
) -> Tensor:
    """softmax(scale q k') v of one token a row, `[B, H, d]`, over what is remembered of the row.

    `memory` are keys and values, `[2, ≥ B, H, T, d]` in one piece; `last`, `[B]`, int64, is where the row's last are.
    `new` keys and values, `[B, H, d]`, become these first.
    """
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    n_rows, n_heads, width = q.shape
    k, v = (q, q) if new is None else new
    strides = q.stride(0), k.stride(0), v.stride(0), memory.stride(0), memory.stride(1), memory.stride(2)
    its = q, k, v, memory, last, out, *strides, width, scale
    constants = power_of_2(width), _REMEMBERED, new is not None
    _launch(kernels.attend_remembered, (n_rows, n_heads, 1), its, constants, n_warps=2)
    return out


def pool(
    x: Tensor, segments: Segments, places: Sequence[int], pooling: Pooling, n_kept: int, *, is_unit: bool
) -> Tensor:
    """Tokens `[N, I]` to one vector a text, `[B, n_kept]` in float32; see `models.kernels.texts.pool`."""
    spans = to_device(torch.from_numpy(np.stack([*segments.spans, places]).astype(np.int32)), x.device)
    out = torch.empty((len(places), n_kept), device=x.device)
    n_columns = power_of_2(n_kept)
    n_tokens = max(1, _TILE // n_columns)
    its = x, spans, out, x.stride(0), len(places), n_kept
    _launch(kernels.pool, (len(places), 1, 1), its, (n_columns, n_tokens, pooling, is_unit))
    return out


def likeliest(logits: Tensor) -> Tensor:
    """Of each row of `[B, V]` the likeliest token and its log-probability: `[2, B]`, float64."""
    out = torch.empty((2, len(logits)), dtype=torch.float64, device=logits.device)
    n_rows, n_words = logits.shape
    _launch(kernels.likeliest, (n_rows, 1, 1), (logits, out, logits.stride(0), n_words, n_rows), (_WORDS,))
    return out


def blocks_of(segments: Segments) -> NDArray[np.int32]:
    """What `attend` computes at once, of texts in a row: a block's first token, its text's first, and its text's end.

    `[3, n_blocks]`; of a block of nobody's all are 0.
    """
    owners, places = counted(-(-np.array(segments.lengths) // _BLOCK))
    firsts, ends = segments.spans[:, owners]
    return np.stack([firsts + places * _BLOCK, firsts, ends]).astype(np.int32)


_compiled: dict[Hashable, Any] = {}


def _launch(
    kernel: Any, grid: tuple[int, int, int], values: Sequence[Any], constants: tuple[Any, ...], n_warps: int = 4
) -> None:
    """As `kernel[grid](*values, *constants)`, which takes several times as long to find what it has compiled."""
    key = (kernel.__name__, values[0].get_device(), constants, *map(_kind, values))
    with torch.cuda.device(values[0].device):  # where Triton compiles for, and launches
        if key not in _compiled:
            _compiled[key] = kernel.warmup(*values, *constants, grid=grid, num_warps=n_warps)
        _compiled[key][grid](*values, *constants)


def _kind(value: Tensor | float) -> Hashable:
    """What a kernel is compiled for: types, multiples of sixteen, one."""
    if isinstance(value, Tensor):
        return value.dtype, value.data_ptr() % 16 == 0
    return (value % 16 == 0, value == 1, value < 2**31) if isinstance(value, int) else float


def _wide(width: int) -> int:
    """Products take no less than 16."""
    return max(16, power_of_2(width))


def power_of_2(n: int) -> int:
    """The least that is no smaller."""
    return 1 << (n - 1).bit_length()
