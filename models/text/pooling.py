"""Placeholder: to be described."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from models.ops.devices import to_cpu
from models.ops.pooling import pool
from models.tasks.text import Pooling
from models.text.ragged_batch import RaggedBatch


class PoolingChoice(NamedTuple):
    """How a vector is made of the vectors of a text's tokens."""

    pooling: Pooling
    n_kept: int | None
    is_unit: bool


def pooled(packed: RaggedBatch, hidden: Tensor, manner: PoolingChoice) -> Tensor:
    """A vector a text, `[B, n_kept]`, in the order in which the texts were given; on the CPU in float32."""
    pooling, n_kept, is_unit = manner
    return pool(hidden, packed.segments, packed.order, pooling, n_kept or hidden.shape[1], is_unit=is_unit)


def embeddings_of(packed: RaggedBatch, hidden: Tensor, manner: PoolingChoice, places: Sequence[int]) -> list[Tensor]:
    """Of the texts at these places, all in the same manner: `[D]` each, or `[T, D]` without pooling."""
    if manner.pooling == "none":
        states = list(packed.by_text(hidden))
        kept = [to_cpu(states[place])[:, : manner.n_kept].contiguous() for place in places]
        return [functional.normalize(one, dim=-1) for one in kept] if manner.is_unit else kept
    vectors = pooled(packed, hidden, manner)
    return list(vectors[places] if len(places) < len(vectors) else vectors)
