"""The layers of attention (Vaswani et al. 2017, section 3.2).

Shapes: `N` tokens of all texts, `M` tokens of other texts, `D` width, `H` heads, `d` width of a head.
"""

from collections.abc import Callable

from torch import Tensor, nn

from models.ops.patterns import AttentionPattern, CrossAttentionPattern


class SelfAttention(nn.Module):
    """Self-attention: one linear layer for queries, keys and values, and one for what is attended to.

    `scale_of` returns the factor of the scores in a layer; the default is 1/sqrt(d).
    """

    def __init__(self, width: int, n_heads: int, scale_of: Callable[[int], float] | None = None) -> None:
        super().__init__()
        self.n_heads, self.head_width = n_heads, width // n_heads
        self.scale_of = scale_of or (lambda layer: (width // n_heads) ** -0.5)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, attention: AttentionPattern, layer: int) -> Tensor:
        """Attend as the pattern says, in the layer of this number: `[N, D]` to `[N, D]`."""
        q, k, v = self.qkv(x).view(-1, 3, self.n_heads, self.head_width).unbind(1)
        output: Tensor = self.out(attention(layer, q, k, v, self.scale_of(layer)).flatten(1))
        return output


class CrossAttention(nn.Module):
    """Cross-attention: queries of one row of tokens, keys and values of another (section 3.2.3)."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.scale = (width // n_heads) ** -0.5
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and values of the other row, `[M, D]`: two of `[M, H, d]`."""
        k, v = self.kv(memory).unflatten(-1, (2, self.n_heads, -1)).unbind(1)
        return k, v

    def forward(self, x: Tensor, cross_attention: CrossAttentionPattern, layer: int) -> Tensor:
        """Attend as the pattern says, in the layer of this number: `[N, D]` to `[N, D]`."""
        q = self.q(x).unflatten(-1, (self.n_heads, -1))
        output: Tensor = self.out(cross_attention(layer, q, self.scale).flatten(1))
        return output
