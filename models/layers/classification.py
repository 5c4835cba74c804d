"""Logits to labels."""

from collections.abc import Callable

import torch
from torch import Tensor

from models.tasks.autoencoding import Activation, ClassifyRequest, ClassifyResult, LabelScore

_FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "softmax": lambda logits: logits.softmax(0),
    "sigmoid": torch.sigmoid,
    "none": lambda logits: logits,
}


def rank(labels: tuple[str, ...], logits: Tensor, request: ClassifyRequest) -> ClassifyResult:
    """The `top_k` best of `labels` by `logits` `[n_labels]`."""
    scores = _FUNCTIONS[request.function_to_apply](logits)
    best, places = scores.topk(min(request.top_k or len(labels), len(labels)))
    pairs = zip(places.tolist(), best.tolist(), strict=True)
    return ClassifyResult(labels=tuple(LabelScore(labels[i], score) for i, score in pairs))
