"""Sparse vectors of texts, of the vocabulary's width, by the logits of the masked language head.

Shapes: `N` tokens of all texts, `T` tokens of one text, `V` vocabulary, `n` elements that are not zero.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.errors import InvalidItems, Problem
from models.ops.cooperation import split_by_tokens
from models.ops.devices import to_cpu
from models.tasks.text import EncodeTextRequest, Tokens
from models.text.embedding_settings import SparsePooling
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from models.text.text_model import TextModel, read_in_parts

MAX_TOKENS_OF_LOGITS = 1024
"""Maximum number of tokens whose logits are in memory at a time; a longer text's are together."""


class SparseVector(NamedTuple):
    """The elements of a vector that are not zero: their places, ascending, and their values, two of `[n]`."""

    indices: Tensor
    values: Tensor


def is_sparse(model: TextModel, request: EncodeTextRequest) -> bool:
    """Return whether a request's vector is a sparse one.

    Raises:
        InvalidItems: the model makes no sparse vectors, or a parameter is given that does not apply to them.
    """
    wanted = model.embedding.sparse is not None if request.sparse is None else request.sparse
    if not wanted:
        return False
    if not isinstance(model, TextEncoder) or model.masked_head is None:
        detail = "sparse is true; this model predicts no masked words, from which sparse vectors are made"
        raise InvalidItems(Problem(detail, parameter="sparse"))
    for parameter in ("pooling", "normalize", "dimensions"):
        if (value := getattr(request, parameter)) is not None:
            detail = (
                f"{parameter} is {json.dumps(value)}, but the embedding is sparse; {parameter} needs sparse to be false"
            )
            raise InvalidItems(Problem(detail, parameter=parameter))
    return True


def sparse_vectors_of(
    model: TextModel, batch: RaggedBatch, hidden: Tensor, indices: Sequence[int]
) -> list[SparseVector]:
    """Return the sparse vectors of some of the given texts from the hidden states of all, `[N, D]`.

    Texts are pooled as the checkpoint says or, if it says nothing, by the maximum.

    Raises:
        NotImplementedError: the model was built without a masked language head.
    """
    if not isinstance(model, TextEncoder):
        raise NotImplementedError("only bidirectional encoders have a masked language head")
    pooling = model.embedding.sparse or SparsePooling()
    of_texts = list(batch.by_text(hidden))
    states = [of_texts[index] for index in indices]
    lengths = [len(of_text) for of_text in states]
    vectors: list[SparseVector] = []
    for part in split_by_tokens(lengths, MAX_TOKENS_OF_LOGITS):
        logits = to_cpu(model.masked_logits(torch.cat(states[part])))
        vectors += [_pooled(of_text, pooling) for of_text in torch.split(logits, lengths[part])]
    return vectors


def sparse_vectors(model: TextModel, texts: Sequence[Tokens]) -> list[SparseVector]:
    """Return the sparse vector of each text.

    Raises:
        InvalidItems: a text is empty or too long.
    """
    vectors: list[SparseVector] = []
    for batch, hidden in read_in_parts(model, texts):
        vectors += sparse_vectors_of(model, batch, hidden, range(len(batch.order)))
    return vectors


def on_common_elements(vectors: Sequence[SparseVector]) -> Tensor:
    """Return vectors as rows of a matrix whose columns are the elements that are not zero in all of them."""
    columns, places = torch.unique(torch.cat([vector.indices for vector in vectors]), return_inverse=True)
    matrix = torch.zeros(len(vectors), len(columns))
    rows = torch.arange(len(vectors)).repeat_interleave(torch.tensor([len(vector.indices) for vector in vectors]))
    matrix[rows, places] = torch.cat([vector.values for vector in vectors])
    return matrix


def _pooled(logits: Tensor, pooling: SparsePooling) -> SparseVector:
    """Return the sparse vector of a text from the logits of its tokens, `[T, V]`."""
    is_max = pooling.strategy == "max"  # which logit is the largest does not depend on the logarithm
    activated = _activate(logits.amax(0), pooling) if is_max else _activate(logits, pooling).sum(0)
    if pooling.max_active is not None and pooling.max_active < len(activated):
        values, indices = activated.topk(pooling.max_active)
        activated = torch.zeros_like(activated).scatter(0, indices, values)
    indices = activated.nonzero()[:, 0]
    return SparseVector(indices, activated[indices])


def _activate(logits: Tensor, pooling: SparsePooling) -> Tensor:
    activated = logits.relu().log1p()
    return activated.log1p() if pooling.is_repeated else activated
