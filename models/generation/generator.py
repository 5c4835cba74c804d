"""The interface of models that generate texts.

Shapes: `B` rows, one for each running sequence, `D` width, `V` vocabulary.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from models.codecs.text import SpecialTokens
from models.generation.generation_rules import GenerationRules
from models.generation.kv_cache import CacheShape, DecoderCache
from models.generation.settings import read_defaults, read_rules
from models.generation.token_scores import NextTokens, TokenScores
from models.layers.attention import SelfAttention
from models.layers.packed_linear import PackedLinear
from models.tasks.generation_defaults import GenerationDefaults
from models.tasks.text import Tokens
from models.text.text_model import TextModel

CacheT = TypeVar("CacheT", bound=DecoderCache)


class Generator(TextModel, Generic[CacheT]):
    """A model that generates texts token by token.

    `DecoderOnly` and `EncoderDecoder` implement it for networks of these kinds.

    Attributes:
        generates: whether the network has logits of the next token, or only reads texts.
        generation_rules: what the model demands of every text that it generates.
        generation_defaults: what its checkpoint prefers where a request leaves a parameter out.
        prefills_in_parts: whether a prompt may be read a part at a time.
        reads_source: whether the model reads one text, the source, and writes another.
        output_vocab_size: number of tokens that the model can generate, `V`.
    """

    generates = True
    generation_rules: GenerationRules = GenerationRules()
    generation_defaults: GenerationDefaults = GenerationDefaults()
    prefills_in_parts = False
    reads_source = False
    output_vocab_size: int

    def __init__(self) -> None:
        super().__init__()
        self.packed_output: PackedLinear | None = None

    @override
    def prepare(self, special: SpecialTokens, values: Mapping[str, Any]) -> None:
        if not self.generates:
            return
        ends = self.generation_rules.end_ids or (() if special.end is None else (special.end,))
        self.generation_rules = read_rules(
            values, default_ends=ends, source_size=self.vocab_size, target_size=self.output_vocab_size
        )
        self.generation_defaults = read_defaults(values)

    @abstractmethod
    def new_cache(self) -> CacheT:
        """Return a cache without rows."""

    @abstractmethod
    def prefill(self, parts: Sequence[Tensor], cache: CacheT) -> Tensor:
        """Read parts of prompts, ids `[T]` on the CPU, into the cache; return the logits `[n, V]` after each part.

        The first parts continue the rows of the cache, in order; each of the others starts a new row. A model that does
        not read prompts in parts is given whole prompts and a cache without rows.
        """

    @abstractmethod
    def decode(self, tokens: NextTokens, cache: CacheT) -> TokenScores:
        """Continue each row of the cache with its token; return the scores of the tokens after these."""

    @abstractmethod
    def max_new_tokens(self, prompt: Tokens) -> int:
        """Return the maximum number of tokens that can be generated after a prompt."""

    @abstractmethod
    def decoder_prompt(self, prompt: Tokens) -> list[int]:
        """Return the ids that the decoder has read before it generates the first token."""

    @abstractmethod
    def tied_embeddings(self) -> Tensor | None:
        """Return the word embeddings `[V, D]` if they are the output matrix as well, and None otherwise."""

    def tied_logits(self, hidden: Tensor, embeddings: Tensor) -> Tensor:
        """Return the logits `[…, V]` of hidden states `[…, D]` by the word embeddings `[V, D]`."""
        if self.packed_output is not None:
            return cast("Tensor", self.packed_output(hidden))
        return functional.linear(hidden, embeddings)

    def pack_output_embeddings(self, dtype: torch.dtype, *, int8: bool) -> None:
        """Keep tied embeddings a second time, in the layout that is fastest to multiply with values of a type."""
        embeddings = self.tied_embeddings()
        if embeddings is not None:
            self.packed_output = PackedLinear(embeddings, None, int8=int8, dtype=dtype)
            self.packed_output.n_weights = 0  # they are counted as embeddings


def cache_shape_of(decoder: torch.nn.Module) -> CacheShape:
    """Return the shape of the cache of a network whose layers are those of its `SelfAttention` modules, in order."""
    layers = [module for module in decoder.modules() if isinstance(module, SelfAttention)]
    weight = next(decoder.parameters())
    return CacheShape(
        n_layers=len(layers),
        n_heads=layers[0].n_heads,
        head_width=layers[0].head_width,
        dtype=weight.dtype,
        device=weight.device,
    )
