"""Scaled dot-product attention over flat rows of tokens (Vaswani et al. 2017, section 3.2).

A network is written once, over `[N, D]`. What a token sees is not the network's business but that of an `Attending`,
which it is given: the other tokens of its text, those before it, or what a cache remembers of them.

Shapes: `N` tokens of all texts, `B` texts, `T` tokens of one, `D` width, `H` heads, `d` width of a head.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from models import kernels
from models.kernels import Seen, gpu
from models.layers.devices import sent
from models.layers.packing import Segments, joined

MAX_FLASH_HEAD_WIDTH, FLASH_STEP = 256, 8
MAX_SHORT = 256
"""Tokens of a text whose attention the project's kernel for GPUs does faster than torch's."""


class Attending(Protocol):
    """What the tokens of a row see."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """softmax(scale q k') v of the `layer`-th layer, over what each token sees: all `[N, H, d]`."""


class Remembering(Protocol):
    """What tokens see of another row, whose keys and values are known already."""

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """softmax(scale q k') v over the other row's tokens: `[N, H, d]` to the same."""


class Readable(ABC):
    """An `Attending` or a `Remembering` that kernels can follow by themselves."""

    @abstractmethod
    def seen(self, layer: int) -> Seen:
        """What tokens of the `layer`-th layer see."""


class WithinTexts(Readable):
    """Each token sees its own text: all of it or, if `causal`, what stands no later than itself."""

    def __init__(self, segments: Segments, *, causal: bool = False) -> None:
        self.segments, self.causal = segments, causal

    @cached_property
    def _seen(self) -> Seen:
        return Seen.texts(self.segments, causal=self.causal)

    @cached_property
    def _blocks(self) -> Tensor:
        return sent(torch.from_numpy(gpu.blocks_of(self.segments)), self.segments.device)

    def seen(self, layer: int) -> Seen:
        """See `Readable.seen`; it is the same for all."""
        return self._seen

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `Attending`."""
        if gpu.attends(q) and (max(self.segments.lengths) <= MAX_SHORT or not flash_takes(q)):
            return gpu.attend(q, k, v, self._blocks, scale, causal=self.causal)
        if flash_takes(q):
            return flash(q, k, v, self.segments, self.segments, scale, causal=self.causal)
        if kernels.takes(q):
            return kernels.attend(q, (k, v), self.seen(layer), scale)
        parts: list[Tensor] = []
        for rows, n_texts, length in self.segments.runs:
            q_, k_, v_ = (by_head(x[rows], n_texts) for x in (q, k, v))
            part = scaled_dot_product_attention(q_, k_, v_, is_causal=self.causal and length > 1, scale=scale)
            parts.append(part.transpose(1, 2).flatten(0, 1))
        return joined(parts)


class WithinBlocks:
    """As `WithinTexts`, on a GPU, by what `gpu.blocks_of` says of the texts; they may be others each time."""

    def __init__(self, blocks: Tensor, *, causal: bool = False) -> None:
        self._blocks, self._causal = blocks, causal

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `Attending`."""
        return gpu.attend(q, k, v, self._blocks, scale, causal=self._causal)


def by_head(x: Tensor, n_texts: int) -> Tensor:
    """Tokens `[N, H, d]` of texts of equal length, as `[B, H, T, d]`."""
    return x.view(n_texts, -1, *x.shape[1:]).transpose(1, 2)


class Witnessed:
    """As `WithinTexts`, slower, but `weights[layer][text]` are the attention weights `[H, T, T]` afterwards."""

    def __init__(self, segments: Segments, *, causal: bool = False) -> None:
        self.segments, self.causal = segments, causal
        self.weights: list[list[Tensor]] = []

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """See `Attending`."""
        seen: list[Tensor] = []
        weights: list[Tensor] = []
        for queries, keys, values in zip(*(self.segments.split(x) for x in (q, k, v)), strict=True):
            weights.append(attention_weights(queries, keys, scale, causal=self.causal))
            seen.append(torch.einsum("hqk,khd->qhd", weights[-1], values))
        self.weights.append(weights)
        return torch.cat(seen)


class AcrossTexts:
    """Each token of a text sees all of another, whose `keys_values` of each layer are known; `B` texts each side."""

    def __init__(self, queries: Segments, keys: Segments, keys_values: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._queries, self._keys, self._keys_values = queries, keys, keys_values

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """See `Remembering`."""
        parts = zip(self._queries.split(q), *(self._keys.split(x) for x in self._keys_values[layer]), strict=True)
        seen: list[Tensor] = []
        for part in parts:
            q_, k_, v_ = (by_head(x, 1) for x in part)
            seen.append(scaled_dot_product_attention(q_, k_, v_, scale=scale)[0].transpose(0, 1))
        return torch.cat(seen)


class WitnessedAcross:
    """Tokens of one text see another, whose `keys_values` of each layer are known: `weights[layer]` is `[H, Q, K]`."""

    def __init__(self, keys_values: Sequence[tuple[Tensor, Tensor]]) -> None:
        self._keys_values = keys_values
        self.weights: list[Tensor] = []

    def __call__(self, layer: int, q: Tensor, scale: float) -> Tensor:
        """See `Remembering`."""
        keys, values = self._keys_values[layer]
        self.weights.append(attention_weights(q, keys, scale))
        return torch.einsum("hqk,khd->qhd", self.weights[-1], values)


def attention_weights(q: Tensor, k: Tensor, scale: float, *, causal: bool = False) -> Tensor:
    """softmax(scale q k') of one text: queries `[Q, H, d]`, keys `[K, H, d]`, to `[H, Q, K]`."""
    scores = torch.einsum("qhd,khd->hqk", q, k) * scale
    if causal:
        later = torch.ones(scores.shape[1:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return scores.softmax(-1)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """softmax(scale q k' + bias) v by plain products, `[…, Q, d]` of `[…, K, d]`, in the type of the scores."""
    scores = torch.matmul(q * scale, k.transpose(-1, -2))
    scores = scores if bias is None else scores + bias.to(scores.dtype)
    return torch.matmul(scores.softmax(-1, dtype=scores.dtype), v)


class SelfAttention(nn.Module):
    """Queries, keys and values of one row, by one fused product; then what is seen, by another.

    `scale_of` gives the factor on the scores of a layer; 1/sqrt(d) unless a family says otherwise.
    """

    def __init__(self, width: int, n_heads: int, scale_of: Callable[[int], float] | None = None) -> None:
        super().__init__()
        self.n_heads, self.head_width = n_heads, width // n_heads
        self.scale_of = scale_of or (lambda layer: (width // n_heads) ** -0.5)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, attend: Attending, layer: int) -> Tensor:
        """`[N, D]` to `[N, D]`."""
        q, k, v = self.qkv(x).view(-1, 3, self.n_heads, self.head_width).unbind(1)
        seen: Tensor = self.out(attend(layer, q, k, v, self.scale_of(layer)).flatten(1))
        return seen


class CrossAttention(nn.Module):
    """Queries of one row; keys and values of another (Vaswani et al. 2017, section 3.2.3)."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.scale = (width // n_heads) ** -0.5
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Of the other row `[M, D]`: two of `[M, H, d]`."""
        k, v = self.kv(memory).unflatten(-1, (2, self.n_heads, -1)).unbind(1)
        return k, v

    def forward(self, x: Tensor, remember: Remembering, layer: int) -> Tensor:
        """`[N, D]` to `[N, D]`."""
        q = self.q(x).unflatten(-1, (self.n_heads, -1))
        seen: Tensor = self.out(remember(layer, q, self.scale).flatten(1))
        return seen


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
