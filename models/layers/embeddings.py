"""The embeddings of tokens before the first block of an encoder.

Shapes: `N` tokens of all texts, `D` width.
"""

from torch import Tensor, nn

from models.layers.weight_derived_cache import WeightDerivedCache
from models.ops.embeddings import embed
from models.ops.segments import Segments


class TextEmbeddings(WeightDerivedCache):
    """LayerNorm(word + position + type) (Devlin et al. 2019, section 3), without types if `n_types` is 0.

    The first token of a text has the position `first_position`. Padding tokens within a text, if the model has such a
    token, do not count, and have the position before the first.
    """

    def __init__(
        self,
        vocab_size: int,
        n_positions: int,
        n_types: int,
        width: int,
        norm_eps: float,
        first_position: int = 0,
        padding_id: int | None = None,
    ) -> None:
        super().__init__()
        self.first_position, self.padding_id = first_position, padding_id
        self.words = nn.Embedding(vocab_size, width)
        self.positions = nn.Embedding(n_positions, width)
        self.types = nn.Embedding(n_types, width) if n_types else None
        self.norm = nn.LayerNorm(width, norm_eps)
        self.dropout = nn.Dropout(0.0)  # training sets the probability

    def forward(self, token_ids: Tensor, type_ids: Tensor, segments: Segments) -> Tensor:
        """Embed the tokens of texts, two of `[N]`, int64: `[N, D]`.

        Raises:
            IndexError: a table has no row for a token.
        """
        embedded = embed(self, token_ids, type_ids, segments)
        return self.dropout(embedded) if self.training else embedded
