"""All operations in plain torch: what runs where nothing else does, and what the other implementations must equal.

Shapes: `N` tokens of all texts, `B` texts or rows of a cache, `T` tokens of a text, `D` width, `H` heads, `d` width of
a head, `V` vocabulary, `I` inputs, `O` outputs.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import scaled_dot_product_attention

from models.ops.linear_weights import Gelu
from models.ops.segments import BLOCK_TOKENS, Segments
from models.tasks.text import Pooling

MIN_PLAIN_ROWS = 8
"""Number of rows from which plain products are faster on a CPU than torch's fused attention of single tokens."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: Gelu | None = None) -> Tensor:
    """Return x W' + b, then GELU: `[…, I]` to `[…, O]`."""
    product = functional.linear(x, weight, bias)
    return product if gelu is None else functional.gelu(product, approximate=gelu)


def add_norm(x: Tensor, added: Tensor, norm: nn.Module) -> Tensor:
    """Return norm(x + added), `[N, D]`."""
    normalised: Tensor = norm(x + added)
    return normalised


def sum_and_norm(x: Tensor, added: Tensor, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return x + added and norm(x + added), two of `[N, D]`."""
    total = x + added
    return total, norm(total)


def embed(
    tables: tuple[nn.Embedding, nn.Embedding, nn.Embedding | None],
    norm: nn.Module,
    token_ids: Tensor,
    type_ids: Tensor,
    positions: Tensor,
) -> Tensor:
    """Return norm(word + position + type) of tokens, three of `[N]`, by three tables: `[N, D]`.

    Types are left out if they have no table.
    """
    words, places, types = tables
    placed: Tensor = words(token_ids) + places(positions)
    if types is None:
        unmarked: Tensor = norm(placed)
        return unmarked
    has_one_type = types.num_embeddings == 1  # and then types are ignored, whatever the tokenizer says
    embedded: Tensor = norm(placed + (types.weight if has_one_type else types(type_ids)))
    return embedded


def count_padding(token_ids: Tensor, positions: Tensor, padding_id: int) -> Tensor:
    """Return by how much padding tokens within texts lower the positions of tokens, all `[N]`.

    A token is lowered by the number of padding tokens before it. A padding token gets the position before the first.
    """
    is_padding = token_ids == padding_id
    before = is_padding.cumsum(0) - is_padding.long()
    starts = torch.arange(len(token_ids), device=token_ids.device) - positions
    return torch.where(is_padding, positions + 1, before - before[starts])


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    segments: Segments,
    scale: float,
    *,
    causal: bool = False,
    bias: Tensor | None = None,
) -> Tensor:
    """Return softmax(scale q k' + bias) v within each text, all `[N, H, d]`.

    Texts of equal length are computed in one call of torch. `bias`, `[H, T, T]` for the longest text, is that of
    shorter texts too, whose tokens are its first ones. Causal attention has none.
    """
    parts: list[Tensor] = []
    for rows, n_texts, length in segments.runs:
        q_, k_, v_ = (x[rows].view(n_texts, length, *x.shape[1:]).transpose(1, 2) for x in (q, k, v))
        own_bias = None if bias is None else bias[None, :, :length, :length]
        part = scaled_dot_product_attention(q_, k_, v_, own_bias, is_causal=causal and length > 1, scale=scale)
        parts.append(part.transpose(1, 2).flatten(0, 1))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def cross_attention(q: Tensor, k: Tensor, v: Tensor, queries: Segments, keys: Segments, scale: float) -> Tensor:
    """Return softmax(scale q k') v from each text of the queries to the text of the keys with the same index."""
    parts: list[Tensor] = []
    for part in zip(queries.split(q), keys.split(k), keys.split(v), strict=True):
        q_, k_, v_ = (x.view(1, *x.shape).transpose(1, 2) for x in part)
        parts.append(scaled_dot_product_attention(q_, k_, v_, scale=scale)[0].transpose(0, 1))
    return torch.cat(parts)


def suffix_attention(q: Tensor, k: Tensor, v: Tensor, queries: Segments, keys: Segments, scale: float) -> Tensor:
    """Return the causal attention of the last tokens of each text to all of it, in the dtype of q.

    It is computed in the dtype of k and v.
    """
    parts: list[Tensor] = []
    for part in zip(queries.split(q), keys.split(k), keys.split(v), strict=True):
        q_, k_, v_ = (x.transpose(0, 1)[None].to(k.dtype) for x in part)
        n_queries, n_keys = q_.shape[2], k_.shape[2]
        is_seen = torch.ones(n_queries, n_keys, dtype=torch.bool, device=q.device).tril(n_keys - n_queries)
        attended = scaled_dot_product_attention(q_, k_, v_, is_seen, scale=scale)
        parts.append(attended[0].transpose(0, 1).to(q.dtype))
    return torch.cat(parts)


def block_attention(q: Tensor, k: Tensor, v: Tensor, block_table: Tensor, scale: float, *, causal: bool) -> Tensor:
    """Return softmax(scale q k') v within each text, block by block, `[N, H, d]`; NaN for tokens in no block."""
    out = torch.full_like(q, torch.nan)
    for start, first, end in block_table.T.tolist():
        rows = slice(start, min(start + BLOCK_TOKENS, end))
        keys = slice(first, rows.stop if causal else end)
        weights = attention_weights(q[rows], k[keys], scale, causal=causal)
        out[rows] = torch.einsum("hqk,khd->qhd", weights, v[keys])
    return out


def attention_weights(
    q: Tensor, k: Tensor, scale: float, *, causal: bool = False, bias: Tensor | None = None
) -> Tensor:
    """Return softmax(scale q k' + bias) of one text, queries `[Q, H, d]` and keys `[K, H, d]`: `[H, Q, K]`.

    The bias is `[H, Q, K]`. If `causal`, the queries are the last tokens of the text, and attend to all tokens up to
    themselves.
    """
    scores = torch.einsum("qhd,khd->hqk", q, k) * scale
    scores = scores if bias is None else scores + bias
    if causal:
        is_later = torch.ones(scores.shape[1:], dtype=torch.bool, device=q.device).triu(1 + len(k) - len(q))
        scores = scores.masked_fill(is_later, -torch.inf)
    return scores.softmax(-1)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """Return softmax(scale q k' + bias) v by plain products, from `[…, Q, d]` to `[…, K, d]`, in the dtype of q."""
    scores = torch.matmul(q * scale, k.transpose(-1, -2))
    scores = scores if bias is None else scores + bias.to(scores.dtype)
    return torch.matmul(scores.softmax(-1, dtype=scores.dtype), v)


def single_token_attention(q: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """Return the attention of one token of each row, `[B, H, d]`, to its row, `[B, H, T, d]`, in the dtype of q.

    `bias`, `[B, 1, 1, T]`, is added to the scores.
    """
    queries = q[:, :, None].to(keys.dtype)
    if q.is_cpu and len(q) >= MIN_PLAIN_ROWS:
        attended = plain_attention(queries, keys, values, bias, scale)
    else:
        attended = scaled_dot_product_attention(queries, keys, values, bias, scale=scale)
    return attended[:, :, 0].to(q.dtype)


def write_to_cache(memory: Tensor, k: Tensor, v: Tensor, rows: Tensor, positions: Tensor) -> None:
    """Write keys and values of tokens, `[N, H, d]`, to `memory`, `[2, ≥ B, H, T, d]`, at these rows and positions."""
    for part, new in zip(memory, (k, v), strict=True):
        part[rows, :, positions] = new.to(memory.dtype)


def pool(
    x: Tensor, segments: Segments, order: Sequence[int], pooling: Pooling, n_kept: int, *, is_unit: bool
) -> Tensor:
    """Return one vector of each text, `[B, n_kept]` in float32, as `models.ops.pooling.pool` describes."""
    vectors = _POOLINGS[pooling](x, segments).float()
    vectors = vectors[sorted(range(len(order)), key=order.__getitem__)][:, :n_kept]
    return functional.normalize(vectors, dim=-1) if is_unit else vectors


def top_tokens(logits: Tensor) -> Tensor:
    """Return the likeliest token of each row of `[B, V]` and its log-probability: `[2, B]`, float64."""
    best, tokens = logits.float().max(-1)
    return torch.stack([tokens.double(), (best - logits.float().logsumexp(-1)).double()])


def _mean(x: Tensor, segments: Segments) -> Tensor:
    tokens = torch.arange(len(x), dtype=torch.int32, device=x.device)
    return functional.embedding_bag(tokens, x.float(), segments.bounds[:-1], mode="mean")


_POOLINGS: Mapping[str, Callable[[Tensor, Segments], Tensor]] = {
    "mean": _mean,
    "cls": lambda x, segments: x[segments.first],
    "max": lambda x, segments: torch.stack([part.amax(0) for part in segments.split(x)]),
    "last": lambda x, segments: x[segments.last],
}
"""The functions that make one vector of each text of `[N, D]`: `[B, D]`."""
