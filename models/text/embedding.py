"""Texts to vectors, and the tasks that compare or draw these vectors.

Shapes: `B` texts, `T` tokens of one text, `D` width.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidItems, Problem
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
from models.text.embedding_settings import Similarity
from models.text.pooling import PoolingChoice, check_dimensions, choose_pooling, embeddings_of, pooled
from models.text.sparse_embedding import is_sparse, on_common_elements, sparse_vectors, sparse_vectors_of
from models.text.text_model import TextModel, read_in_parts

SIMILARITIES: Mapping[Similarity, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": lambda source, others: functional.normalize(others) @ functional.normalize(source, dim=0),
    "dot": lambda source, others: others @ source,
    "euclidean": lambda source, others: -torch.linalg.vector_norm(others - source, dim=1),
    "manhattan": lambda source, others: -torch.linalg.vector_norm(others - source, ord=1, dim=1),
}
"""The measures of similarity: of one vector `[D]` to each of `[n, D]`, `[n]`. Source: sentence-transformers."""


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
    choice = choose_pooling(model, pooling, normalize=normalize)
    return torch.cat([pooled(batch, hidden, choice) for batch, hidden in read_in_parts(model, texts)])


def encode(model: TextModel, requests: Sequence[EncodeTextRequest]) -> Sequence[EncodeTextResult]:
    """Return one vector of each text or, for requests without pooling, one of each token.

    Requests that are pooled alike are pooled together.

    Raises:
        InvalidItems: a text is empty or too long, or a parameter asks for what the checkpoint does not have.
    """
    alike: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    for index, request in enumerate(requests):
        alike[request.pooling, request.dimensions, request.normalize, request.sparse].append(index)
    groups = [(_choose(model, requests[indices[0]]), indices) for indices in alike.values()]
    batch, hidden = model.read([request.tokens for request in requests])
    for choice, indices in groups:
        if choice is not None:
            check_dimensions(choice, requests[indices[0]].dimensions, hidden.shape[-1])
    (choice, _), *others = groups
    if not others and choice is not None and choice.poolings:
        return EncodeTextResults(pooled(batch, hidden, choice).numpy())
    results: dict[int, EncodeTextResult] = {}
    for choice, indices in groups:
        if choice is None:
            sparse = sparse_vectors_of(model, batch, hidden, indices)
            found = [EncodeTextResult(embedding=vector.values, indices=vector.indices) for vector in sparse]
        else:
            found = [EncodeTextResult(embedding=vector) for vector in embeddings_of(batch, hidden, choice, indices)]
        results |= zip(indices, found, strict=True)
    return [results[index] for index in range(len(requests))]


def similarity(model: TextModel, requests: Sequence[SimilarityRequest]) -> list[SimilarityResult]:
    """Return the similarities of the vectors of each request's candidates to its text's, by the checkpoint's measure.

    Raises:
        InvalidItems: a text is empty or too long.
    """
    different, rows = distinct(list(chain.from_iterable(request.texts for request in requests)))
    of_different, compare = _comparable_vectors(model, different), SIMILARITIES[model.embedding.similarity]
    results, next_row = [], iter(rows)
    for request in requests:
        source, *candidates = islice(next_row, len(request.texts))
        places = {row: place for place, row in enumerate(dict.fromkeys(candidates))}
        scores = compare(of_different[source], of_different[list(places)])
        results.append(SimilarityResult(scores=scores[[places[row] for row in candidates]]))
    return results


def project(model: TextModel, requests: Sequence[ProjectTextsRequest]) -> list[ProjectResult]:
    """Return each request's texts as points in a plane that is fitted to their vectors.

    Raises:
        InvalidItems: a text is empty or too long, or the method needs vectors of width 2.
    """
    if model.embedding.sparse is not None and any(request.method == "latent" for request in requests):
        detail = f"method latent needs embeddings of width 2; this model's are {model.vocab_size}"
        raise InvalidItems(Problem(detail, parameter="method"))
    texts = list(chain.from_iterable(request.texts for request in requests))
    different, rows = distinct(texts)
    parts = torch.split(_comparable_vectors(model, different)[rows], [len(request.texts) for request in requests])
    return [project_to_plane(part, request.method) for part, request in zip(parts, requests, strict=True)]


def _choose(model: TextModel, request: EncodeTextRequest) -> PoolingChoice | None:
    """Return how a request's text is pooled; None if its vector is a sparse one.

    Raises:
        InvalidItems: a parameter asks for what the checkpoint does not have.
    """
    if is_sparse(model, request):
        return None
    return choose_pooling(model, request.pooling, normalize=request.normalize, dimensions=request.dimensions)


def _comparable_vectors(model: TextModel, texts: Sequence[Tokens]) -> Tensor:
    """Return the vector of each text, `[B, D]`; of sparse vectors only the elements that are not zero in all of them.

    Raises:
        InvalidItems: a text is empty or too long.
    """
    if model.embedding.sparse is None:
        return vectors(model, texts)
    return on_common_elements(sparse_vectors(model, texts))


def distinct(texts: Sequence[Tokens]) -> tuple[list[Tokens], list[int]]:
    """Return the different ones among these texts, and for each text its place among them.

    Equal texts must have equal results, which a batch may not give them: rounding depends on a text's place in it.
    """
    keys = [(text.ids.tobytes(), text.type_ids.tobytes(), text.sources, text.n_prompt) for text in texts]
    different = dict(zip(keys, texts, strict=True))
    places = {key: place for place, key in enumerate(different)}
    return list(different.values()), [places[key] for key in keys]
