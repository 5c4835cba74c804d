"""The embeddings of tokens: a sum of rows of two or three tables, normalised.

Shapes: `N` tokens of all texts, `D` width.
"""

from torch import Tensor

from models.ops import avx512, reference
from models.ops.layer_protocols import EmbeddingLayers
from models.ops.segments import Segments


def embed(layers: EmbeddingLayers, token_ids: Tensor, type_ids: Tensor, segments: Segments) -> Tensor:
    """Return LayerNorm(word + position + type) of tokens, two of `[N]`, of the texts of `segments`: `[N, D]`.

    If there is only one type, or none, `type_ids` are ignored.

    Raises:
        IndexError: a table has no row for a token.
    """
    has_kernel = not layers.training and avx512.supports_tensor(layers.words.weight)
    if has_kernel and (layers.padding_id is None or not (token_ids == layers.padding_id).any()):
        return avx512.embed(token_ids, type_ids, segments, layers.derived(avx512.EmbeddingTables))
    tables = layers.words, layers.positions, layers.types
    positions = segments.positions + layers.first_position
    if layers.padding_id is not None:
        positions -= reference.count_padding(token_ids, segments.positions, layers.padding_id)
    return reference.embed(tables, layers.norm, token_ids, type_ids, positions)
