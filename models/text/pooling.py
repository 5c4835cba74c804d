"""Placeholder: to be described."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.ops import avx512, triton
from models.ops.avx512.texts import pool
from models.ops.devices import to_cpu
from models.ops.segments import Segments
from models.tasks.text import Pooling
from models.text.ragged_batch import RaggedBatch


def _mean(hidden: Tensor, segments: Segments) -> Tensor:
    tokens = torch.arange(len(hidden), dtype=torch.int32, device=hidden.device)
    return functional.embedding_bag(tokens, hidden.float(), segments.bounds[:-1], mode="mean")


def _max(hidden: Tensor, segments: Segments) -> Tensor:
    return torch.stack([part.amax(0) for part in segments.split(hidden)])


_POOLINGS: Mapping[str, Callable[[Tensor, Segments], Tensor]] = {
    "mean": _mean,
    "cls": lambda hidden, segments: hidden[segments.first],
    "max": _max,
    "last": lambda hidden, segments: hidden[segments.last],
}


class PoolingChoice(NamedTuple):
    """How a vector is made of the vectors of a text's tokens."""

    pooling: Pooling
    n_kept: int | None
    is_unit: bool


def pooled(packed: RaggedBatch, hidden: Tensor, manner: PoolingChoice) -> Tensor:
    """A vector a text, `[B, n_kept]`, in the order in which the texts were given; on the CPU in float32."""
    pooling, n_kept, is_unit = manner
    n_kept = n_kept or hidden.shape[1]
    if avx512.supports_tensor(hidden):
        return pool(hidden, packed.segments, packed.order, pooling, n_kept, is_unit=is_unit)
    if triton.supports_add_norm(hidden):
        return to_cpu(triton.pool(hidden, packed.segments, packed.order, pooling, n_kept, is_unit=is_unit))
    vectors = packed.in_order(to_cpu(_POOLINGS[pooling](hidden, packed.segments)))[:, :n_kept]
    return functional.normalize(vectors, dim=-1) if is_unit else vectors


def embeddings_of(packed: RaggedBatch, hidden: Tensor, manner: PoolingChoice, places: Sequence[int]) -> list[Tensor]:
    """Of the texts at these places, all in the same manner: `[D]` each, or `[T, D]` without pooling."""
    if manner.pooling == "none":
        states = list(packed.by_text(hidden))
        kept = [to_cpu(states[place])[:, : manner.n_kept].contiguous() for place in places]
        return [functional.normalize(one, dim=-1) for one in kept] if manner.is_unit else kept
    vectors = pooled(packed, hidden, manner)
    return list(vectors[places] if len(places) < len(vectors) else vectors)
