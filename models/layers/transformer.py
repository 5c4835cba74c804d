"""The block all Transformers are made of, and the embeddings before the first.

Shapes: `N` tokens of all texts, `D` width.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from models import kernels
from models.kernels import gpu
from models.kernels.texts import Embeddings, embed
from models.layers.attention import Attending, CrossAttention, Readable, Remembering, SelfAttention
from models.layers.feedforward import feedforward
from models.layers.packing import Packed
from models.layers.products import OwnProduct
from models.layers.weights import MadeOfWeights

Part = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class BlockShape:
    """What the blocks of one network have in common."""

    width: int
    n_heads: int
    inner_width: int
    activation: str
    norm_eps: float
    norm_first: bool = False


class Block(MadeOfWeights):
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
        self._kernel: kernels.Block | None = None

    def forward(self, x: Tensor, attend: Attending, layer: int, remember: Remembering | None = None) -> Tensor:
        """`[N, D]` to `[N, D]`; `layer` is the number of this application, from 0."""
        for part, norm in self.parts(attend, layer, remember):
            added = part(norm(x) if self.norm_first else x)
            if self.training:
                added = self.dropout(added)
            x = x + added if self.norm_first else _normalised(x, added, norm)
        return x

    def parts(self, attend: Attending, layer: int, remember: Remembering | None) -> Iterator[tuple[Part, nn.LayerNorm]]:
        """What is added to `[N, D]`, one after the other, and the norm of each."""
        yield lambda x: self.attention(x, attend, layer), self.attention_norm
        if self.crossing is not None and self.crossing_norm is not None and remember is not None:
            crossing = self.crossing
            yield lambda x: crossing(x, remember, layer), self.crossing_norm
        yield self.feedforward, self.feedforward_norm

    def kernel_for(self, x: Tensor) -> kernels.Block | None:
        """All of it in one, for values of this type, where its weights are laid out and kernels have each part."""
        if self._kernel is None:
            up, *between, down = self.feedforward.children()
            layers = [self.attention.qkv, self.attention.out, up, down]
            norms = [self.attention_norm, self.feedforward_norm]
            if self.crossing is not None and self.crossing_norm is not None:
                layers += [self.crossing.q, self.crossing.out]
                norms += [self.crossing_norm]
            if isinstance(between[0], nn.Identity) and all(isinstance(one, OwnProduct) for one in layers):
                weights = [cast("OwnProduct", one).weights for one in layers]
                self._kernel = kernels.Block(weights, norms, self.attention.n_heads, norm_first=self.norm_first)
        return self._kernel if self._kernel is not None and self._kernel.dtype == x.dtype else None

    def turn(self, x: Tensor, attend: Readable, layer: int, remember: Readable | None) -> kernels.Turn | None:
        """For kernels, where they can run it."""
        kernel = self.kernel_for(x)
        if kernel is None or (remember is None and self.crossing is not None):
            return None
        own = attend.seen(layer), self.attention.scale_of(layer)
        if self.crossing is None or remember is None:
            return kernels.Turn(kernel, *own)
        return kernels.Turn(kernel, *own, remember.seen(layer), self.crossing.scale)

    def forget(self) -> None:
        """See `MadeOfWeights`."""
        self._kernel = None


def _normalised(x: Tensor, added: Tensor, norm: nn.LayerNorm) -> Tensor:
    """LayerNorm(x + added), all `[N, D]`."""
    is_learning = torch.is_grad_enabled() and any(one.requires_grad for one in (added, norm.weight, norm.bias))
    if not is_learning:
        if kernels.takes(x) and x.dtype == norm.weight.dtype:
            return kernels.add_norm(x, added, norm)
        if gpu.norms(x):
            return gpu.add_norm(x, added, norm)
    normalised: Tensor = norm(x + added)
    return normalised


def through(blocks: Iterable[nn.Module], x: Tensor, attend: Attending, remember: Remembering | None = None) -> Tensor:
    """`[N, D]` through one `Block` after the other, to the same."""
    its = [cast("Block", block) for block in blocks]
    if kernels.takes(x) and isinstance(attend, Readable) and (remember is None or isinstance(remember, Readable)):
        turns = [turn for layer, block in enumerate(its) if (turn := block.turn(x, attend, layer, remember))]
        if len(turns) == len(its):
            return kernels.blocks(x, turns)
    if its[0].norm_first and not its[0].training and gpu.norms(x):
        return _by_sums([part for layer, block in enumerate(its) for part in block.parts(attend, layer, remember)], x)
    for layer, block in enumerate(its):
        x = block(x, attend, layer, remember)
    return x


def _by_sums(parts: Sequence[tuple[Part, nn.LayerNorm]], x: Tensor) -> Tensor:
    """As blocks that norm first, with each sum and the norm after it in one."""
    (part, norm), *others = parts
    normalised = norm(x)
    for following, norm in others:
        x, normalised = gpu.add_then_norm(x, part(normalised), norm)
        part = following
    return x + part(normalised)


class TextEmbeddings(MadeOfWeights):
    """LayerNorm(word + position + type) (Devlin et al. 2019, section 3).

    The first token of a text has the position `first_position`.
    """

    def __init__(
        self, vocab_size: int, n_positions: int, n_types: int, width: int, norm_eps: float, first_position: int = 0
    ) -> None:
        super().__init__()
        self.first_position = first_position
        self.words = nn.Embedding(vocab_size, width)
        self.positions = nn.Embedding(n_positions, width)
        self.types = nn.Embedding(n_types, width)
        self.norm = nn.LayerNorm(width, norm_eps)
        self.dropout = nn.Dropout(0.0)  # training sets the probability
        self._kernel: Embeddings | None = None

    def forward(self, packed: Packed) -> Tensor:
        """The row's `N` tokens to `[N, D]`."""
        if not self.training and kernels.takes(self.words.weight):
            if self._kernel is None:
                self._kernel = Embeddings([self.words, self.positions, self.types], self.norm, self.first_position)
            return embed(packed.token_ids, packed.type_ids, packed.segments, self._kernel)
        placed = self.words(packed.token_ids) + self.positions(packed.segments.positions + self.first_position)
        is_alike = self.types.num_embeddings == 1  # whatever a tokenizer says
        embedded: Tensor = self.norm(placed + (self.types.weight if is_alike else self.types(packed.type_ids)))
        return self.dropout(embedded) if self.training else embedded

    def forget(self) -> None:
        """See `MadeOfWeights`."""
        self._kernel = None


def sinusoids(n_positions: int, width: int) -> Tensor:
    """Sines of rising wavelength in the first half of the width, their cosines in the second: `[n_positions, D]`.

    Source: Vaswani et al. 2017, section 3.5, with the order of the elements that Marian uses.
    """
    places = torch.arange(width)
    rates = 10_000.0 ** (-2.0 * (places // 2).double() / width)
    angles = torch.arange(n_positions)[:, None].double() * rates
    return torch.cat([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=1).float()
