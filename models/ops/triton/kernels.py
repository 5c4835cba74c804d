"""The kernels of `gpu`, in Triton: `…_at` are addresses, and the constants are known when a kernel is compiled."""

import triton
import triton.language as tl


@triton.jit
def add_norm(
    x_at,
    added_at,
    weight_at,
    bias_at,
    out_at,
    total_at,
    x_stride,
    added_stride,
    width,
    eps,
    n_columns: tl.constexpr,
    keeps_total: tl.constexpr,
):
    """One row."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, n_columns)
    is_there = columns < width
    x = tl.load(x_at + row * x_stride + columns, mask=is_there, other=0.0).to(tl.float32)
    added = tl.load(added_at + row * added_stride + columns, mask=is_there, other=0.0).to(tl.float32)
    total = x + added
    if keeps_total:
        kept = total.to(total_at.dtype.element_ty)
        tl.store(total_at + row * width + columns, kept, mask=is_there)
        total = kept.to(tl.float32)
    mean = tl.sum(total, 0) / width
    centred = tl.where(is_there, total - mean, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / width + eps)
    weight = tl.load(weight_at + columns, mask=is_there, other=0.0).to(tl.float32)
    bias = tl.load(bias_at + columns, mask=is_there, other=0.0).to(tl.float32)
    out = centred * scale * weight + bias
    tl.store(out_at + row * width + columns, out.to(out_at.dtype.element_ty), mask=is_there)


@triton.jit(do_not_specialize=["n_blocks"])
def attend(
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
def remember(
    k_at,
    v_at,
    memory_at,
    rows_at,
    tokens_at,
    k_stride,
    v_stride,
    values_stride,
    row_stride,
    head_stride,
    n_values,
    width,
    n_columns: tl.constexpr,
):
    """One token."""
    number = tl.program_id(0).to(tl.int64)
    row = tl.load(rows_at + number).to(tl.int64)
    token = tl.load(tokens_at + number).to(tl.int64)
    values = tl.arange(0, n_columns)
    is_there = (values < n_values) & (row >= 0)
    place = memory_at + row * row_stride + token * width + values // width * head_stride + values % width
    k = tl.load(k_at + number * k_stride + values, mask=is_there, other=0.0)
    v = tl.load(v_at + number * v_stride + values, mask=is_there, other=0.0)
    tl.store(place, k, mask=is_there)
    tl.store(place + values_stride, v, mask=is_there)


@triton.jit
def attend_remembered(
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


@triton.jit(do_not_specialize=["n_texts"])
def pool(
    x_at,
    spans_at,
    out_at,
    x_stride,
    n_texts,
    width,
    n_columns: tl.constexpr,
    n_tokens: tl.constexpr,
    pooling: tl.constexpr,
    is_unit: tl.constexpr,
):
    """One text."""
    text = tl.program_id(0)
    first = tl.load(spans_at + text)
    end = tl.load(spans_at + n_texts + text)
    place = tl.load(spans_at + 2 * n_texts + text).to(tl.int64)
    columns = tl.arange(0, n_columns)
    is_column = columns < width
    if pooling == "cls" or pooling == "last":
        token = (first if pooling == "cls" else end - 1).to(tl.int64)
        out = tl.load(x_at + token * x_stride + columns, mask=is_column, other=0.0).to(tl.float32)
    else:
        nothing = -float("inf") if pooling == "max" else 0.0
        out = tl.full((n_columns,), nothing, tl.float32)
        n_broken = tl.zeros((n_columns,), tl.int32)
        for begin in range(first, end, n_tokens):
            tokens = begin + tl.arange(0, n_tokens)
            is_there = (tokens < end)[:, None] & is_column[None, :]
            places = tokens[:, None].to(tl.int64) * x_stride + columns[None, :]
            its = tl.load(x_at + places, mask=is_there, other=nothing).to(tl.float32)
            out = tl.maximum(out, tl.max(its, 0)) if pooling == "max" else out + tl.sum(its, 0)
            n_broken += tl.sum((its != its).to(tl.int32), 0)
        if pooling == "mean":
            out = out / (end - first)
        out = tl.where(n_broken > 0, float("nan"), out)  # which the largest of several numbers may hide
    if is_unit:
        squares = tl.where(is_column, out * out, 0.0)
        out = out / tl.maximum(tl.sqrt(tl.sum(squares, 0)), 1e-12)
    tl.store(out_at + place * width + columns, out, mask=is_column)


@triton.jit(do_not_specialize=["n_rows"])
def likeliest(logits_at, out_at, stride, n_words, n_rows, n_at_once: tl.constexpr):
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
    first = tl.minimum(tl.min(tl.where(best == most, places, n_words), 0), n_words - 1)  # where all are NaN
    total_of_all = tl.sum(total * tl.exp(best - most), 0)
    tl.store(out_at + row, first.to(tl.float64))
    tl.store(out_at + n_rows + row, -tl.log(total_of_all).to(tl.float64))
