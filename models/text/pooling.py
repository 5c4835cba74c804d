"""The vectors of a text's tokens to one vector.

Shapes: `B` texts, `T` tokens of one text, `N` tokens of all texts, `D` width.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from models.errors import InvalidItems, Problem
from models.ops.devices import to_cpu
from models.ops.pooling import pool
from models.tasks.text import EncodeTextRequest, Pooling
from models.text.ragged_batch import RaggedBatch
from models.text.text_model import TextModel


class PoolingChoice(NamedTuple):
    """How a text's vector is made of those of its tokens; `dimensions` is the number of elements kept, None for all."""

    pooling: Pooling
    dimensions: int | None
    normalize: bool


def choose_pooling(model: TextModel, request: EncodeTextRequest, width: int) -> PoolingChoice:
    """Return how a request's text is pooled; what it leaves open is decided by the checkpoint.

    Raises:
        InvalidItems: `dimensions` is not between 1 and the width of the hidden states.
    """
    if request.dimensions is not None and not 1 <= request.dimensions <= width:
        detail = f"dimensions is {request.dimensions}; this model's embeddings have 1 to {width}"
        raise InvalidItems(Problem(detail, parameter="dimensions"))
    normalize = model.normalize if request.normalize is None else request.normalize
    return PoolingChoice(request.pooling or model.pooling, request.dimensions, normalize)


def pooled(batch: RaggedBatch, hidden: Tensor, choice: PoolingChoice) -> Tensor:
    """Return one vector of each text, in the order in which the texts were given, on the CPU in float32.

    The hidden states are `[N, D]`; the vectors are `[B, dimensions]`, or `[B, D]` where all dimensions are kept.
    """
    pooling, n_kept, is_unit = choice
    return pool(hidden, batch.segments, batch.order, pooling, n_kept or hidden.shape[1], is_unit=is_unit)


def embeddings_of(batch: RaggedBatch, hidden: Tensor, choice: PoolingChoice, indices: Sequence[int]) -> list[Tensor]:
    """Return the vectors of some of the given texts, pooled alike: `[D]` each, or `[T, D]` without pooling."""
    if choice.pooling == "none":
        states = list(batch.by_text(hidden))
        kept = [to_cpu(states[index])[:, : choice.dimensions].contiguous() for index in indices]
        return [functional.normalize(vectors, dim=-1) for vectors in kept] if choice.normalize else kept
    vectors = pooled(batch, hidden, choice)
    return list(vectors[indices] if len(indices) < len(vectors) else vectors)
