"""The blocks of a Transformer, one after the other.

Shapes: `N` tokens of all texts, `D` width.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, cast

from torch import Tensor, nn

from models.ops import avx512, triton
from models.ops.patterns import AttentionPattern, CrossAttentionPattern, KernelAttention

Part = Callable[[Tensor], Tensor]


class TransformerBlock(Protocol):
    """What `transformer_blocks` asks of a block."""

    norm_first: bool
    training: bool

    def __call__(
        self, x: Tensor, attend: AttentionPattern, layer: int, remember: CrossAttentionPattern | None
    ) -> Tensor:
        """`[N, D]` to `[N, D]`."""

    def parts(
        self, attend: AttentionPattern, layer: int, remember: CrossAttentionPattern | None
    ) -> Iterator[tuple[Part, nn.LayerNorm]]:
        """What is added to `[N, D]`, one after the other, and the norm of each."""

    def turn(
        self, x: Tensor, attend: KernelAttention, layer: int, remember: KernelAttention | None
    ) -> avx512.Turn | None:
        """For kernels, where they can run it."""


def transformer_blocks(
    blocks: Iterable[nn.Module], x: Tensor, attend: AttentionPattern, remember: CrossAttentionPattern | None = None
) -> Tensor:
    """`[N, D]` through one `Block` after the other, to the same."""
    its = [cast("TransformerBlock", block) for block in blocks]
    if (
        avx512.supports_tensor(x)
        and isinstance(attend, KernelAttention)
        and (remember is None or isinstance(remember, KernelAttention))
    ):
        turns = [turn for layer, block in enumerate(its) if (turn := block.turn(x, attend, layer, remember))]
        if len(turns) == len(its):
            return avx512.blocks(x, turns)
    if its[0].norm_first and not its[0].training and triton.supports_add_norm(x):
        return _by_sums([part for layer, block in enumerate(its) for part in block.parts(attend, layer, remember)], x)
    for layer, block in enumerate(its):
        x = block(x, attend, layer, remember)
    return x


def _by_sums(parts: Sequence[tuple[Part, nn.LayerNorm]], x: Tensor) -> Tensor:
    """As blocks that norm first, with each sum and the norm after it in one."""
    (part, norm), *others = parts
    normalised = norm(x)
    for following, norm in others:
        x, normalised = triton.add_then_norm(x, part(normalised), norm)
        part = following
    return x + part(normalised)
