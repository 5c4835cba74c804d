"""Texts to vectors, and the tasks that compare or draw these vectors.

Shapes: `B` texts, `T` tokens of one text, `D` width.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from models.results import project_to_plane
from models.tasks.autoencoding import ProjectResult
from models.tasks.text import (
    EncodeTextRequest,
    EncodeTextResult,
    EncodeTextResults,
    Pooling,
    ProjectTextsRequest,
    SimilarityRequest,
    SimilarityResult,
    Tokens,
)
from models.text.pooling import PoolingChoice, choose_pooling, embeddings_of, pooled
from models.text.text_model import TextModel, read_in_parts


def hidden_states(model: TextModel, texts: Sequence[Tokens]) -> list[Tensor]:
    """Return the last hidden states of each text, `[T, D]`, on the device of the model.

    Raises:
        InvalidItems: a text is empty or too long.
    """
    batch, hidden = model.read(texts)
    return list(batch.by_text(hidden))


def vectors(
    model: TextModel, texts: Sequence[Tokens], pooling: Pooling | None = None, *, normalize: bool | None = None
) -> Tensor:
    """Return one vector of each text, `[B, D]`, on the CPU in float32.

    They are pooled and normalised as the checkpoint says where that is None.

    Raises:
        InvalidItems: a text is empty or too long.
    """
    is_normalised = model.normalize if normalize is None else normalize
    choice = PoolingChoice(pooling or model.pooling, None, is_normalised)
    return torch.cat([pooled(batch, hidden, choice) for batch, hidden in read_in_parts(model, texts)])


def encode(model: TextModel, requests: Sequence[EncodeTextRequest]) -> Sequence[EncodeTextResult]:
    """Return one vector of each text or, for requests without pooling, one of each token.

    Requests that are pooled alike are pooled together.

    Raises:
        InvalidItems: a text is empty or too long, or `dimensions` is more than there are.
    """
    batch, hidden = model.read([request.tokens for request in requests])
    alike: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    for index, request in enumerate(requests):
        alike[request.pooling, request.dimensions, request.normalize].append(index)
    groups = [(choose_pooling(model, requests[indices[0]], hidden.shape[-1]), indices) for indices in alike.values()]
    (choice, _), *others = groups
    if not others and choice.pooling != "none":
        return EncodeTextResults(pooled(batch, hidden, choice).numpy())
    embeddings: dict[int, Tensor] = {}
    for choice, indices in groups:
        embeddings |= zip(indices, embeddings_of(batch, hidden, choice, indices), strict=True)
    return [EncodeTextResult(embedding=embeddings[index]) for index in range(len(requests))]


def similarity(model: TextModel, requests: Sequence[SimilarityRequest]) -> list[SimilarityResult]:
    """Return the cosines of the vectors of each request's candidates and its text.

    Raises:
        InvalidItems: a text is empty or too long.
    """
    texts = list(chain.from_iterable(request.texts for request in requests))
    parts = torch.split(vectors(model, texts, normalize=True), [len(request.texts) for request in requests])
    return [SimilarityResult(scores=part[1:] @ part[0]) for part in parts]


def project(model: TextModel, requests: Sequence[ProjectTextsRequest]) -> list[ProjectResult]:
    """Return each request's texts as points in a plane that is fitted to their vectors.

    Raises:
        InvalidItems: a text is empty or too long, or the method needs vectors of width 2.
    """
    texts = list(chain.from_iterable(request.texts for request in requests))
    parts = torch.split(vectors(model, texts), [len(request.texts) for request in requests])
    return [project_to_plane(part, request.method) for part, request in zip(parts, requests, strict=True)]
