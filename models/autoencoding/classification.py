"""The task `classify`."""

from collections.abc import Sequence

from models.autoencoding.autoencoder import FixedShapeAutoencoder
from models.results import rank_labels
from models.tasks.classification import ClassifyRequest, ClassifyResult


def classify(model: FixedShapeAutoencoder, requests: Sequence[ClassifyRequest]) -> list[ClassifyResult]:
    """Return the labels of items, best first. Only models with labels serve this task."""
    logits = model.class_logits_of([request.item for request in requests])
    return [
        rank_labels(model.labels, row, activation=request.function_to_apply, top_k=request.top_k)
        for request, row in zip(requests, logits.unbind(), strict=True)
    ]
