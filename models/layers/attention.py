"""Placeholder: to be described."""

from collections.abc import Callable

from torch import Tensor, nn

from models.ops.patterns import AttentionPattern, CrossAttentionPattern


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

    def forward(self, x: Tensor, attend: AttentionPattern, layer: int) -> Tensor:
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

    def forward(self, x: Tensor, remember: CrossAttentionPattern, layer: int) -> Tensor:
        """`[N, D]` to `[N, D]`."""
        q = self.q(x).unflatten(-1, (self.n_heads, -1))
        seen: Tensor = self.out(remember(layer, q, self.scale).flatten(1))
        return seen
