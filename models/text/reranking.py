"""Candidates in the order in which they answer a query, by the vectors of the texts or by a classifier of pairs."""

from collections.abc import Sequence
from itertools import chain
from typing import cast

import torch
from torch import Tensor

from models.ops.cooperation import split_by_tokens
from models.results import ACTIVATIONS
from models.tasks.classification import Activation
from models.tasks.text import RerankPairsRequest, RerankRequest, RerankResult
from models.text.embedding import distinct, similarity
from models.text.text_model import TextModel, tokens_at_once


def rerank(model: TextModel, requests: Sequence[RerankRequest]) -> list[RerankResult]:
    """Order the candidates of each request by the similarity of their vectors to the query's.

    Raises:
        InvalidItems: a text is empty or too long.
    """
    compared = similarity(model, requests)
    return [_best(found.scores, request.top_k) for found, request in zip(compared, requests, strict=True)]


def rerank_pairs(model: TextModel, requests: Sequence[RerankPairsRequest]) -> list[RerankResult]:
    """Order the candidates of each request by the score that the model gives to the pair of the query and each.

    The model has one class. Such models are called cross-encoders: Nogueira and Cho 2019, Passage Re-ranking with BERT.

    Raises:
        InvalidItems: a pair is empty or too long.
    """
    different, rows = distinct(list(chain.from_iterable(request.texts for request in requests)))
    parts = split_by_tokens(list(map(len, different)), tokens_at_once(model))
    logits = torch.cat([model.class_logits(different[part])[:, 0] for part in parts])
    of_requests = torch.split(logits[rows], [len(request.texts) for request in requests])
    default = cast("Activation", model.label_activation)
    return [
        _best(ACTIVATIONS[request.function_to_apply or default](row), request.top_k)
        for request, row in zip(requests, of_requests, strict=True)
    ]


def _best(scores: Tensor, top_k: int | None) -> RerankResult:
    """Return the `top_k` highest of the scores `[n]`; all if None."""
    ordered, indices = scores.sort(descending=True, stable=True)
    return RerankResult(indices=indices[:top_k], scores=ordered[:top_k])
