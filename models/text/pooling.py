"""The vectors of a text's tokens to one vector.

Shapes: `B` texts, `T` tokens of one text, `N` tokens of all texts, `D` width.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.errors import InvalidItems, Problem
from models.layers.vector_steps import DenseStep
from models.ops.devices import to_cpu
from models.ops.pooling import pool
from models.ops.segments import Segments
from models.tasks.text import Pooling
from models.text.embedding_settings import TokenPooling
from models.text.ragged_batch import RaggedBatch
from models.text.text_model import TextModel

SINGLE_OPERATIONS: dict[TokenPooling, Pooling] = {"mean": "mean", "cls": "cls", "max": "max", "last": "last"}
"""Poolings that one operation computes together with truncation and scaling."""


class PoolingChoice(NamedTuple):
    """How a text's vector is made of those of its tokens.

    Attributes:
        poolings: how the vectors of the tokens become one; empty to leave them as they are.
        steps: layers that the vector passes through then.
        dimensions: number of elements kept, None for all.
        normalize: whether the vector is scaled to unit length.
        cuts_last: whether the vector is scaled before the elements are dropped, instead of afterwards.
        skips_prompt: whether the tokens of prompts are left out.
    """

    poolings: tuple[TokenPooling, ...]
    steps: nn.Sequential | None
    dimensions: int | None
    normalize: bool
    cuts_last: bool
    skips_prompt: bool


def choose_pooling(
    model: TextModel, pooling: Pooling | None = None, *, normalize: bool | None = None, dimensions: int | None = None
) -> PoolingChoice:
    """Return how a text is pooled; what is None is decided by the checkpoint.

    The checkpoint's own number of dimensions applies after its own scaling, as in sentence-transformers; a number
    that a request asks for applies before.

    Raises:
        InvalidItems: the checkpoint's layers are for vectors that are pooled otherwise.
    """
    own = model.embedding
    steps = model.vector_steps if len(model.vector_steps) else None
    poolings: tuple[TokenPooling, ...] = own.poolings
    if pooling == "none":
        poolings, steps = (), None
    elif pooling is not None and (pooling,) != own.poolings:
        if steps is not None:
            detail = (
                f"pooling is {pooling!r}; the checkpoint's layers after the pooling take {' and '.join(own.poolings)}"
            )
            raise InvalidItems(Problem(f"{detail} only, or use none for the tokens' vectors", parameter="pooling"))
        poolings = (pooling,)
    return PoolingChoice(
        poolings=poolings,
        steps=steps,
        dimensions=own.dimensions if dimensions is None else dimensions,
        normalize=own.normalize if normalize is None else normalize,
        cuts_last=own.dimensions is not None and dimensions is None and normalize is None,
        skips_prompt=own.skips_prompt,
    )


def check_dimensions(choice: PoolingChoice, dimensions: int | None, width: int) -> None:
    """Raise InvalidItems if a request asks for more dimensions than there are, with hidden states of this width."""
    if dimensions is None:
        return
    width *= max(1, len(choice.poolings))
    for step in choice.steps or ():
        width = step.weight.shape[0] if isinstance(step, DenseStep) else width
    if not 1 <= dimensions <= width:
        detail = f"dimensions is {dimensions}; this model's embeddings have 1 to {width}"
        raise InvalidItems(Problem(detail, parameter="dimensions"))


def pooled(batch: RaggedBatch, hidden: Tensor, choice: PoolingChoice) -> Tensor:
    """Return one vector of each text, in the order in which the texts were given, on the CPU in float32.

    The hidden states are `[N, D]`; the vectors are `[B, dimensions]`, or `[B, D]` where all dimensions are kept.
    """
    poolings, steps, n_kept, is_unit, cuts_last, skips_prompt = choice
    if len(poolings) == 1 and steps is None and not cuts_last and not skips_prompt:
        operation = SINGLE_OPERATIONS.get(poolings[0])
        if operation is not None:
            width = hidden.shape[1]
            return pool(hidden, batch.segments, batch.order, operation, min(n_kept or width, width), is_unit=is_unit)
    vectors = _concatenated(batch, hidden, choice)
    return _finish(vectors if steps is None else steps(vectors), choice)


def embeddings_of(batch: RaggedBatch, hidden: Tensor, choice: PoolingChoice, indices: Sequence[int]) -> list[Tensor]:
    """Return the vectors of some of the given texts, pooled alike: `[D]` each, or `[T, D]` without pooling."""
    if not choice.poolings:
        states = list(batch.by_text(hidden))
        return [_finish(to_cpu(states[index]), choice) for index in indices]
    vectors = pooled(batch, hidden, choice)
    return list(vectors[indices] if len(indices) < len(vectors) else vectors)


def _finish(vectors: Tensor, choice: PoolingChoice) -> Tensor:
    """Drop elements of vectors `[…, D]`, and scale them to unit length, as the choice says."""
    if choice.normalize and choice.cuts_last:
        return functional.normalize(vectors, dim=-1)[..., : choice.dimensions].contiguous()
    kept = vectors[..., : choice.dimensions].contiguous()
    return functional.normalize(kept, dim=-1) if choice.normalize else kept


def _concatenated(batch: RaggedBatch, hidden: Tensor, choice: PoolingChoice) -> Tensor:
    """Return the vectors of all poolings side by side, `[B, n D]`, on the CPU in float32."""
    order, segments = batch.order, batch.segments
    skipped = np.zeros(len(segments), np.int64)
    if choice.skips_prompt and batch.texts:
        skipped[: len(order)] = [batch.texts[index].n_prompt for index in order]
    _, positions = segments.owners_and_positions
    lengths = np.array(segments.lengths, np.int64)
    if skipped.any():
        kept = np.flatnonzero(positions >= skipped.repeat(lengths))
        hidden, positions = hidden[torch.from_numpy(kept).to(hidden.device)], positions[kept]
        lengths = lengths - skipped
        segments = Segments(lengths.tolist(), segments.device)

    def by_text(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values[: len(order)][batch.inverse_order].astype(np.float32))[:, None]

    width = hidden.shape[1]
    parts: list[Tensor] = []
    for pooling in choice.poolings:
        states, scale = hidden, None
        if pooling == "mean_sqrt_len_tokens":
            scale = by_text(np.sqrt(lengths))
        elif pooling == "weightedmean":
            weights = torch.from_numpy((positions + 1).astype(np.float32)).to(hidden.device)
            states = hidden.float() * weights[:, None]
            scale = by_text(2 / (lengths + 2 * skipped + 1))  # the number of weights, by their sum
        operation = SINGLE_OPERATIONS.get(pooling, "mean")
        part = pool(states, segments, order, operation, width, is_unit=False)
        parts.append(part if scale is None else part * scale)
    return torch.cat(parts, dim=1)
