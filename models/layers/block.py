"""The block all Transformers are made of, and the embeddings before the first.

Shapes: `N` tokens of all texts, `D` width.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from models.layers.attention import CrossAttention, SelfAttention
from models.layers.feedforward import feedforward
from models.layers.packed_linear import Avx512Linear
from models.layers.weight_derived_cache import WeightDerivedCache
from models.ops import avx512
from models.ops.add_norm import add_norm
from models.ops.blocks import Part
from models.ops.patterns import AttentionPattern, CrossAttentionPattern, KernelAttention


@dataclass(frozen=True, kw_only=True)
class BlockShape:
    """What the blocks of one network have in common."""

    width: int
    n_heads: int
    inner_width: int
    activation: str
    norm_eps: float
    norm_first: bool = False


class Block(WeightDerivedCache):
    """Self-attention, cross-attention where there is another row, then a network of each token alone.

    Each is added to what it was given. The sum is normalised (Vaswani et al. 2017, section 3.1) or, with `norm_first`,
    what goes into it (Radford et al. 2019, section 2.3).
    """

    def __init__(
        self, shape: BlockShape, *, crossing: bool = False, scale_of: Callable[[int], float] | None = None
    ) -> None:
        super().__init__()
        self.norm_first = shape.norm_first
        self.dropout = nn.Dropout(0.0)  # training sets the probability
        self.attention = SelfAttention(shape.width, shape.n_heads, scale_of)
        self.attention_norm = nn.LayerNorm(shape.width, shape.norm_eps)
        self.crossing = CrossAttention(shape.width, shape.n_heads) if crossing else None
        self.crossing_norm = nn.LayerNorm(shape.width, shape.norm_eps) if crossing else None
        self.feedforward = feedforward((shape.width, shape.inner_width, shape.width), shape.activation)
        self.feedforward_norm = nn.LayerNorm(shape.width, shape.norm_eps)
        self._kernel: avx512.Block | None = None

    def forward(
        self, x: Tensor, attend: AttentionPattern, layer: int, remember: CrossAttentionPattern | None = None
    ) -> Tensor:
        """`[N, D]` to `[N, D]`; `layer` is the number of this application, from 0."""
        for part, norm in self.parts(attend, layer, remember):
            added = part(norm(x) if self.norm_first else x)
            if self.training:
                added = self.dropout(added)
            x = x + added if self.norm_first else add_norm(x, added, norm)
        return x

    def parts(
        self, attend: AttentionPattern, layer: int, remember: CrossAttentionPattern | None
    ) -> Iterator[tuple[Part, nn.LayerNorm]]:
        """What is added to `[N, D]`, one after the other, and the norm of each."""
        yield lambda x: self.attention(x, attend, layer), self.attention_norm
        if self.crossing is not None and self.crossing_norm is not None and remember is not None:
            crossing = self.crossing
            yield lambda x: crossing(x, remember, layer), self.crossing_norm
        yield self.feedforward, self.feedforward_norm

    def kernel_for(self, x: Tensor) -> avx512.Block | None:
        """All of it in one, for values of this type, where its weights are laid out and kernels have each part."""
        if self._kernel is None:
            up, *between, down = self.feedforward.children()
            layers = [self.attention.qkv, self.attention.out, up, down]
            norms = [self.attention_norm, self.feedforward_norm]
            if self.crossing is not None and self.crossing_norm is not None:
                layers += [self.crossing.q, self.crossing.out]
                norms += [self.crossing_norm]
            if isinstance(between[0], nn.Identity) and all(isinstance(one, Avx512Linear) for one in layers):
                weights = [cast("Avx512Linear", one).weights for one in layers]
                self._kernel = avx512.Block(weights, norms, self.attention.n_heads, norm_first=self.norm_first)
        return self._kernel if self._kernel is not None and self._kernel.dtype == x.dtype else None

    def turn(
        self, x: Tensor, attend: KernelAttention, layer: int, remember: KernelAttention | None
    ) -> avx512.Turn | None:
        """For kernels, where they can run it."""
        kernel = self.kernel_for(x)
        if kernel is None or (remember is None and self.crossing is not None):
            return None
        own = attend.context(layer), self.attention.scale_of(layer)
        if self.crossing is None or remember is None:
            return avx512.Turn(kernel, *own)
        return avx512.Turn(kernel, *own, remember.context(layer), self.crossing.scale)

    def forget(self) -> None:
        """See `WeightDerivedCache`."""
        self._kernel = None
