"""The kernels in Triton. A `…_ptr` is an address; arguments of type `tl.constexpr` are constants that are compiled in.

A program is one of the instances of a kernel that a GPU runs in parallel. It computes in float32 unless said otherwise.
"""

import triton
import triton.language as tl


@triton.jit
def add_norm(
    x_ptr,
    added_ptr,
    weight_ptr,
    bias_ptr,
    out_ptr,
    total_ptr,
    x_stride,
    added_stride,
    width,
    eps,
    n_columns: tl.constexpr,
    keeps_total: tl.constexpr,
):
    """Normalise x + added. A program computes one row; `keeps_total` writes the sum as well."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, n_columns)
    is_column = columns < width
    x = tl.load(x_ptr + row * x_stride + columns, mask=is_column, other=0.0).to(tl.float32)
    added = tl.load(added_ptr + row * added_stride + columns, mask=is_column, other=0.0).to(tl.float32)
    total = x + added
    if keeps_total:
        rounded = total.to(total_ptr.dtype.element_ty)
        tl.store(total_ptr + row * width + columns, rounded, mask=is_column)
        total = rounded.to(tl.float32)
    mean = tl.sum(total, 0) / width
    centred = tl.where(is_column, total - mean, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / width + eps)
    weight = tl.load(weight_ptr + columns, mask=is_column, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + columns, mask=is_column, other=0.0).to(tl.float32)
    out = centred * scale * weight + bias
    tl.store(out_ptr + row * width + columns, out.to(out_ptr.dtype.element_ty), mask=is_column)


@triton.jit(do_not_specialize=["n_blocks"])
def block_attention(
    q_ptr,
    k_ptr,
    v_ptr,
    block_table_ptr,
    out_ptr,
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
    """Attend within texts. A program computes one head of one block of queries, with the softmax of all keys so far."""
    block, head = tl.program_id(0), tl.program_id(1)
    start = tl.load(block_table_ptr + block)
    first = tl.load(block_table_ptr + n_blocks + block)
    end = tl.load(block_table_ptr + 2 * n_blocks + block)
    columns = tl.arange(0, n_columns)
    is_column = columns[None, :] < width
    rows = start + tl.arange(0, n_tokens)
    is_row = rows[:, None] < end
    offset = head * width + columns[None, :]
    q = tl.load(q_ptr + rows[:, None].to(tl.int64) * q_stride + offset, mask=is_row & is_column, other=0.0)
    maximum = tl.full((n_tokens,), -float("inf"), tl.float32)
    total = tl.zeros((n_tokens,), tl.float32)
    out = tl.zeros((n_tokens, n_columns), tl.float32)
    keys_end = tl.minimum(start + n_tokens, end) if is_causal else end
    for begin in range(first, keys_end, n_tokens):
        keys = begin + tl.arange(0, n_tokens)
        is_key = keys[:, None] < end
        k = tl.load(k_ptr + keys[:, None].to(tl.int64) * k_stride + offset, mask=is_key & is_column, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        is_seen = keys[None, :] < end
        if is_causal:
            is_seen = is_seen & (keys[None, :] <= rows[:, None])
        scores = tl.where(is_seen, scores, -float("inf"))
        new_maximum = tl.maximum(maximum, tl.max(scores, 1))
        weights = tl.exp(scores - new_maximum[:, None])
        correction = tl.exp(maximum - new_maximum)
        v = tl.load(v_ptr + keys[:, None].to(tl.int64) * v_stride + offset, mask=is_key & is_column, other=0.0)
        out = out * correction[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        total = total * correction + tl.sum(weights, 1)
        maximum = new_maximum
    out = out / total[:, None]
    out_offset = rows[:, None].to(tl.int64) * tl.num_programs(1) * width + offset
    tl.store(out_ptr + out_offset, out.to(out_ptr.dtype.element_ty), mask=is_row & is_column)


@triton.jit
def write_to_cache(
    k_ptr,
    v_ptr,
    memory_ptr,
    rows_ptr,
    positions_ptr,
    k_stride,
    v_stride,
    values_stride,
    row_stride,
    head_stride,
    n_elements,
    width,
    n_columns: tl.constexpr,
):
    """Write keys and values to a cache. A program writes one token, or nothing if its row is negative."""
    token = tl.program_id(0).to(tl.int64)
    row = tl.load(rows_ptr + token).to(tl.int64)
    position = tl.load(positions_ptr + token).to(tl.int64)
    elements = tl.arange(0, n_columns)
    is_written = (elements < n_elements) & (row >= 0)
    target_ptr = memory_ptr + row * row_stride + position * width + elements // width * head_stride + elements % width
    k = tl.load(k_ptr + token * k_stride + elements, mask=is_written, other=0.0)
    v = tl.load(v_ptr + token * v_stride + elements, mask=is_written, other=0.0)
    tl.store(target_ptr, k, mask=is_written)
    tl.store(target_ptr + values_stride, v, mask=is_written)


@triton.jit
def attend_to_cache(
    q_ptr,
    k_ptr,
    v_ptr,
    memory_ptr,
    positions_ptr,
    out_ptr,
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
    """Attend to rows of a cache. A program computes a head of a row; with `has_new`, it writes key and value first."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    position = tl.load(positions_ptr + row)
    columns = tl.arange(0, n_columns)
    is_column = columns < width
    offset = head * width + columns
    q = tl.load(q_ptr + row * q_stride + offset, mask=is_column, other=0.0).to(tl.float32) * scale
    keys_ptr = memory_ptr + row * row_stride + head * head_stride
    values_ptr = keys_ptr + values_stride
    if has_new:
        k = tl.load(k_ptr + row * k_stride + offset, mask=is_column, other=0.0)
        v = tl.load(v_ptr + row * v_stride + offset, mask=is_column, other=0.0)
        tl.store(keys_ptr + position * width + columns, k, mask=is_column)
        tl.store(values_ptr + position * width + columns, v, mask=is_column)
        maximum = tl.sum(q * k.to(tl.float32), 0)
        total = 1.0
        out = v.to(tl.float32)
        end = position.to(tl.int32)
    else:
        maximum = -float("inf")
        total = 0.0
        out = tl.zeros((n_columns,), tl.float32)
        end = position.to(tl.int32) + 1
    for begin in range(0, end, n_tokens):
        tokens = begin + tl.arange(0, n_tokens)
        is_token = tokens < end
        is_element = is_token[:, None] & is_column[None, :]
        elements = tokens[:, None] * width + columns[None, :]
        keys = tl.load(keys_ptr + elements, mask=is_element, other=0.0).to(tl.float32)
        values = tl.load(values_ptr + elements, mask=is_element, other=0.0).to(tl.float32)
        scores = tl.where(is_token, tl.sum(keys * q[None, :], 1), -float("inf"))
        new_maximum = tl.maximum(maximum, tl.max(scores, 0))
        weights = tl.exp(scores - new_maximum)
        correction = tl.exp(maximum - new_maximum)
        out = out * correction + tl.sum(weights[:, None] * values, 0)
        total = total * correction + tl.sum(weights, 0)
        maximum = new_maximum
    out_offset = (row * tl.num_programs(1) + head) * width + columns
    tl.store(out_ptr + out_offset, (out / total).to(out_ptr.dtype.element_ty), mask=is_column)


@triton.jit(do_not_specialize=["n_texts"])
def pool(
    x_ptr,
    spans_ptr,
    out_ptr,
    x_stride,
    n_texts,
    width,
    n_columns: tl.constexpr,
    n_tokens: tl.constexpr,
    pooling: tl.constexpr,
    is_unit: tl.constexpr,
):
    """Pool the vectors of texts. A program computes the first `width` elements of one text's vector."""
    text = tl.program_id(0)
    first = tl.load(spans_ptr + text)
    end = tl.load(spans_ptr + n_texts + text)
    out_row = tl.load(spans_ptr + 2 * n_texts + text).to(tl.int64)
    columns = tl.arange(0, n_columns)
    is_column = columns < width
    if pooling == "cls" or pooling == "last":
        token = (first if pooling == "cls" else end - 1).to(tl.int64)
        out = tl.load(x_ptr + token * x_stride + columns, mask=is_column, other=0.0).to(tl.float32)
    else:
        initial = -float("inf") if pooling == "max" else 0.0
        out = tl.full((n_columns,), initial, tl.float32)
        n_nan = tl.zeros((n_columns,), tl.int32)
        for begin in range(first, end, n_tokens):
            tokens = begin + tl.arange(0, n_tokens)
            is_element = (tokens < end)[:, None] & is_column[None, :]
            elements = tokens[:, None].to(tl.int64) * x_stride + columns[None, :]
            values = tl.load(x_ptr + elements, mask=is_element, other=initial).to(tl.float32)
            out = tl.maximum(out, tl.max(values, 0)) if pooling == "max" else out + tl.sum(values, 0)
            n_nan += tl.sum((values != values).to(tl.int32), 0)
        if pooling == "mean":
            out = out / (end - first)
        out = tl.where(n_nan > 0, float("nan"), out)  # because a maximum may hide NaN
    if is_unit:
        squares = tl.where(is_column, out * out, 0.0)
        out = out / tl.maximum(tl.sqrt(tl.sum(squares, 0)), 1e-12)
    tl.store(out_ptr + out_row * width + columns, out, mask=is_column)


@triton.jit(do_not_specialize=["n_rows"])
def top_tokens(logits_ptr, out_ptr, stride, n_vocabulary, n_rows, n_columns: tl.constexpr):
    """Find the likeliest token, the first of equal ones, and its log-probability. A program computes one row."""
    row = tl.program_id(0).to(tl.int64)
    best = tl.full((n_columns,), -float("inf"), tl.float32)
    best_tokens = tl.zeros((n_columns,), tl.int32)
    total = tl.zeros((n_columns,), tl.float32)
    for begin in range(0, n_vocabulary, n_columns):
        tokens = begin + tl.arange(0, n_columns)
        is_token = tokens < n_vocabulary
        logits = tl.load(logits_ptr + row * stride + tokens, mask=is_token, other=-float("inf")).to(tl.float32)
        new_best = tl.maximum(best, logits)
        subtracted = tl.where(new_best == -float("inf"), 0.0, new_best)
        total = total * tl.exp(best - subtracted) + tl.exp(logits - subtracted)
        best_tokens = tl.where(logits > best, tokens, best_tokens)
        best = new_best
    top = tl.max(best, 0)
    top_token = tl.minimum(tl.min(tl.where(best == top, best_tokens, n_vocabulary), 0), n_vocabulary - 1)  # if all NaN
    total_of_row = tl.sum(total * tl.exp(best - top), 0)
    tl.store(out_ptr + row, top_token.to(tl.float64))
    tl.store(out_ptr + n_rows + row, -tl.log(total_of_row).to(tl.float64))
