"""On GPUs, in Triton: what torch does in several passes over memory, or in tiles that are too large for short texts.

Without Triton, which torch's builds for Linux and CUDA bring along, or where it does not work, models use torch's
operations instead.

Shapes: `N` rows or tokens, `I` width, `B` texts, `H` heads, `d` width of a head, `T` tokens there is room for, `V`
vocabulary.
"""

from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from models.layers.packing import Segments

try:
    import triton
    import triton.language as tl
except ImportError:  # torch for CPUs alone
    triton = None

MAX_WIDTH, MAX_HEAD_BYTES = 8192, 256
_BLOCK, _WORDS = 64, 4096
"""Tokens, and words of the vocabulary, at once."""


@cache
def missing() -> str | None:
    """Why there are no kernels for GPUs here; None where there are. The smallest is compiled and run."""
    if triton is None:
        return "Triton is not installed"
    try:
        its = torch.zeros((1, 1), device="cuda"), torch.zeros((2, 1), dtype=torch.float64, device="cuda")
        _likeliest[(1,)](*its, 1, 1, 1, _WORDS)
    except Exception as error:
        return f"Triton does not work here, which takes a C compiler and Python's headers: {error}"
    return None


def takes(x: Tensor) -> bool:
    """Whether there are kernels for such values, and none is to be learnt through them."""
    is_learning = torch.is_grad_enabled() and x.requires_grad
    return x.is_cuda and not is_learning and missing() is None


def norms(x: Tensor) -> bool:
    """Whether `add_norm` takes such rows, `[N, I]`, each of which is computed in one piece."""
    return takes(x) and x.shape[1] <= MAX_WIDTH


def attends(q: Tensor) -> bool:
    """Whether `attend` takes such queries, `[N, H, d]`, which must fit in the memory of a multiprocessor."""
    return takes(q) and q.shape[-1] * q.element_size() <= MAX_HEAD_BYTES


def add_norm(x: Tensor, added: Tensor, norm: nn.LayerNorm) -> Tensor:
    """LayerNorm(x + added): `[N, I]`, each row in one piece, to the same."""
    out = torch.empty_like(x)
    width = x.shape[1]
    its = x, added, norm.weight, norm.bias, out, x.stride(0), added.stride(0), width, norm.eps
    _launch(_add_norm, (len(x), 1, 1), its, (triton.next_power_of_2(width),))
    return out


def attend(q: Tensor, k: Tensor, v: Tensor, blocks: Tensor, scale: float, *, causal: bool) -> Tensor:
    """softmax(scale q k') v within each text, `[N, H, d]` to the same; the products in the type of q.

    `blocks` are those of `blocks_of`, on the GPU. Source: Dao 2023, algorithm 1.
    """
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    n_heads, width = q.shape[1:]
    n_blocks = blocks.shape[1]
    its = q, k, v, blocks, out, q.stride(0), k.stride(0), v.stride(0), width, scale, n_blocks
    _launch(_attend, (n_blocks, n_heads, 1), its, (_wide(width), _BLOCK, causal))
    return out


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
    _launch(_attend_remembered, (n_rows, n_heads, 1), its, (triton.next_power_of_2(width), _BLOCK, new is not None))
    return out


def likeliest(logits: Tensor) -> Tensor:
    """Of each row of `[B, V]` the likeliest token and its log-probability: `[2, B]`, float64."""
    out = torch.empty((2, len(logits)), dtype=torch.float64, device=logits.device)
    n_rows, n_words = logits.shape
    _launch(_likeliest, (n_rows, 1, 1), (logits, out, logits.stride(0), n_words, n_rows), (_WORDS,))
    return out


def blocks_of(lengths: Sequence[int]) -> Tensor:
    """What `attend` computes at once, of texts in a row: a block's first token, its text's first, and its text's end.

    `[3, n_blocks]`, int32, on the CPU.
    """
    its = torch.tensor(lengths, dtype=torch.int64)
    blocks = Segments(((its + _BLOCK - 1) // _BLOCK).tolist())
    ends = its.cumsum(0)[blocks.owners]
    firsts = ends - its[blocks.owners]
    return torch.stack([firsts + blocks.positions * _BLOCK, firsts, ends]).int()


_compiled: dict[Hashable, Any] = {}


def _launch(kernel: Any, grid: tuple[int, int, int], values: Sequence[Any], constants: tuple[Any, ...]) -> None:
    """As `kernel[grid](*values, *constants)`, which takes several times as long to find what it has compiled."""
    key = (kernel.__name__, values[0].get_device(), constants, *map(_kind, values))
    with torch.cuda.device(values[0].device):  # where Triton compiles for, and launches
        if key not in _compiled:
            _compiled[key] = kernel.warmup(*values, *constants, grid=grid)
        _compiled[key][grid](*values, *constants)


def _kind(value: Tensor | float) -> Hashable:
    """What a kernel is compiled for: types, multiples of sixteen, one."""
    if isinstance(value, Tensor):
        return value.dtype, value.data_ptr() % 16 == 0
    return (value % 16 == 0, value == 1, value < 2**31) if isinstance(value, int) else float


def _wide(width: int) -> int:
    """Products take no less than 16."""
    return max(16, int(triton.next_power_of_2(width)))


if triton is not None:

    @triton.jit
    def _add_norm(
        x_at,
        added_at,
        weight_at,
        bias_at,
        out_at,
        x_stride,
        added_stride,
        width,
        eps,
        n_columns: tl.constexpr,
    ):
        """One row."""
        row = tl.program_id(0).to(tl.int64)
        columns = tl.arange(0, n_columns)
        is_there = columns < width
        x = tl.load(x_at + row * x_stride + columns, mask=is_there, other=0.0).to(tl.float32)
        added = tl.load(added_at + row * added_stride + columns, mask=is_there, other=0.0).to(tl.float32)
        total = x + added
        mean = tl.sum(total, 0) / width
        centred = tl.where(is_there, total - mean, 0.0)
        scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / width + eps)
        weight = tl.load(weight_at + columns, mask=is_there, other=0.0).to(tl.float32)
        bias = tl.load(bias_at + columns, mask=is_there, other=0.0).to(tl.float32)
        out = centred * scale * weight + bias
        tl.store(out_at + row * width + columns, out.to(out_at.dtype.element_ty), mask=is_there)

    @triton.jit(do_not_specialize=["n_blocks"])
    def _attend(
        q_at,
        k_at,
        v_at,
        blocks_at,
        out_at,
        q_stride,
        k_stride,
        v_stride,
        width,
        scale,
        n_blocks,
        n_columns: tl.constexpr,
        n_tokens: tl.constexpr,
        is_causal: tl.constexpr,
    ):
        """One head of one block of queries; the softmax is that of all keys so far."""
        block, head = tl.program_id(0), tl.program_id(1)
        start = tl.load(blocks_at + block)
        first = tl.load(blocks_at + n_blocks + block)
        end = tl.load(blocks_at + 2 * n_blocks + block)
        columns = tl.arange(0, n_columns)
        is_column = columns[None, :] < width
        rows = start + tl.arange(0, n_tokens)
        is_row = rows[:, None] < end
        offset = head * width + columns[None, :]
        q = tl.load(q_at + rows[:, None].to(tl.int64) * q_stride + offset, mask=is_row & is_column, other=0.0)
        most = tl.full((n_tokens,), -float("inf"), tl.float32)
        total = tl.zeros((n_tokens,), tl.float32)
        out = tl.zeros((n_tokens, n_columns), tl.float32)
        last = tl.minimum(start + n_tokens, end) if is_causal else end
        for begin in range(first, last, n_tokens):
            keys = begin + tl.arange(0, n_tokens)
            is_key = keys[:, None] < end
            k = tl.load(k_at + keys[:, None].to(tl.int64) * k_stride + offset, mask=is_key & is_column, other=0.0)
            scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
            is_seen = keys[None, :] < end
            if is_causal:
                is_seen = is_seen & (keys[None, :] <= rows[:, None])
            scores = tl.where(is_seen, scores, -float("inf"))
            more = tl.maximum(most, tl.max(scores, 1))
            weights = tl.exp(scores - more[:, None])
            shrunk = tl.exp(most - more)
            v = tl.load(v_at + keys[:, None].to(tl.int64) * v_stride + offset, mask=is_key & is_column, other=0.0)
            out = out * shrunk[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
            total = total * shrunk + tl.sum(weights, 1)
            most = more
        out = out / total[:, None]
        its = rows[:, None].to(tl.int64) * tl.num_programs(1) * width + offset
        tl.store(out_at + its, out.to(out_at.dtype.element_ty), mask=is_row & is_column)

    @triton.jit
    def _attend_remembered(
        q_at,
        k_at,
        v_at,
        memory_at,
        last_at,
        out_at,
        q_stride,
        k_stride,
        v_stride,
        values_stride,
        row_stride,
        head_stride,
        width,
        scale,
        n_columns: tl.constexpr,
        n_tokens: tl.constexpr,
        has_new: tl.constexpr,
    ):
        """One head of one row."""
        row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
        last = tl.load(last_at + row)
        columns = tl.arange(0, n_columns)
        is_column = columns < width
        offset = head * width + columns
        q = tl.load(q_at + row * q_stride + offset, mask=is_column, other=0.0).to(tl.float32) * scale
        keys_at = memory_at + row * row_stride + head * head_stride
        values_at = keys_at + values_stride
        if has_new:
            k = tl.load(k_at + row * k_stride + offset, mask=is_column, other=0.0)
            v = tl.load(v_at + row * v_stride + offset, mask=is_column, other=0.0)
            tl.store(keys_at + last * width + columns, k, mask=is_column)
            tl.store(values_at + last * width + columns, v, mask=is_column)
            most = tl.sum(q * k.to(tl.float32), 0)
            total = 1.0
            out = v.to(tl.float32)
            end = last.to(tl.int32)
        else:
            most = -float("inf")
            total = 0.0
            out = tl.zeros((n_columns,), tl.float32)
            end = last.to(tl.int32) + 1
        for begin in range(0, end, n_tokens):
            tokens = begin + tl.arange(0, n_tokens)
            is_token = tokens < end
            is_there = is_token[:, None] & is_column[None, :]
            places = tokens[:, None] * width + columns[None, :]
            keys = tl.load(keys_at + places, mask=is_there, other=0.0).to(tl.float32)
            values = tl.load(values_at + places, mask=is_there, other=0.0).to(tl.float32)
            scores = tl.where(is_token, tl.sum(keys * q[None, :], 1), -float("inf"))
            more = tl.maximum(most, tl.max(scores, 0))
            weights = tl.exp(scores - more)
            shrunk = tl.exp(most - more)
            out = out * shrunk + tl.sum(weights[:, None] * values, 0)
            total = total * shrunk + tl.sum(weights, 0)
            most = more
        its = (row * tl.num_programs(1) + head) * width + columns
        tl.store(out_at + its, (out / total).to(out_at.dtype.element_ty), mask=is_column)

    @triton.jit(do_not_specialize=["n_rows"])
    def _likeliest(logits_at, out_at, stride, n_words, n_rows, n_at_once: tl.constexpr):
        """One row; of equal ones the first."""
        row = tl.program_id(0).to(tl.int64)
        best = tl.full((n_at_once,), -float("inf"), tl.float32)
        places = tl.zeros((n_at_once,), tl.int32)
        total = tl.zeros((n_at_once,), tl.float32)
        for begin in range(0, n_words, n_at_once):
            words = begin + tl.arange(0, n_at_once)
            its = tl.load(logits_at + row * stride + words, mask=words < n_words, other=-float("inf")).to(tl.float32)
            more = tl.maximum(best, its)
            known = tl.where(more == -float("inf"), 0.0, more)
            total = total * tl.exp(best - known) + tl.exp(its - known)
            places = tl.where(its > best, words, places)
            best = more
        most = tl.max(best, 0)
        first = tl.min(tl.where(best == most, places, n_words), 0)
        total_of_all = tl.sum(total * tl.exp(best - most), 0)
        tl.store(out_at + row, first.to(tl.float64))
        tl.store(out_at + n_rows + row, -tl.log(total_of_all).to(tl.float64))
