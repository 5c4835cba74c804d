"""Placeholder: to be described."""

from torch import Tensor, nn

from models.layers.weight_derived_cache import WeightDerivedCache
from models.ops import avx512
from models.ops.avx512.texts import Embeddings, embed
from models.ops.segments import Segments


class TextEmbeddings(WeightDerivedCache):
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

    def forward(self, token_ids: Tensor, type_ids: Tensor, segments: Segments) -> Tensor:
        """Embed tokens, two of `[N]` integers, of texts that lie in a row as `segments` says: `[N, D]`."""
        if not self.training and avx512.supports_tensor(self.words.weight):
            if self._kernel is None:
                self._kernel = Embeddings([self.words, self.positions, self.types], self.norm, self.first_position)
            return embed(token_ids, type_ids, segments, self._kernel)
        placed = self.words(token_ids) + self.positions(segments.positions + self.first_position)
        is_alike = self.types.num_embeddings == 1  # whatever a tokenizer says
        embedded: Tensor = self.norm(placed + (self.types.weight if is_alike else self.types(type_ids)))
        return self.dropout(embedded) if self.training else embedded

    def forget(self) -> None:
        """See `WeightDerivedCache`."""
        self._kernel = None
