"""The task `detect_anomalies`."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration
from models.errors import InvalidItems, Problem
from models.tasks.autoencoding import Contribution, DetectAnomaliesRequest, DetectAnomaliesResult


def detect_anomalies(model: Autoencoder, requests: Sequence[DetectAnomaliesRequest]) -> list[DetectAnomaliesResult]:
    """Compute the anomaly scores of items and compare them with those of held-out normal items.

    Raises:
        InvalidItems: the model does not have the score that a request names.
    """
    for request in requests:
        if request.score not in (None, *model.scores):
            detail = f"score is {request.score!r}; this model has {', '.join(model.scores)}"
            raise InvalidItems(Problem(detail, parameter="score"))
    names = [request.score or model.scores[0] for request in requests]
    contributions: dict[int, Tensor] = {}
    for score in dict.fromkeys(names):
        indices = [i for i, name in enumerate(names) if name == score]
        items = [requests[i].item for i in indices]
        contributions |= dict(zip(indices, model.score_contributions(items, score), strict=True))
    return [_compare(request, names[i], contributions[i], model.calibration) for i, request in enumerate(requests)]


def _compare(
    request: DetectAnomaliesRequest, score_name: str, contributions: Tensor, calibration: Calibration
) -> DetectAnomaliesResult:
    """Compare the sum of the contributions, which have the shape of the item, with the scores of normal items."""
    score = contributions.double().sum().item()
    threshold = request.threshold
    if threshold is None:
        percentile = calibration.percentile if request.percentile is None else request.percentile
        threshold = calibration.threshold(score_name, percentile)
    values, positions = contributions.flatten().topk(min(request.n_top, contributions.numel()))
    indices = np.stack(np.unravel_index(positions.numpy(), contributions.shape), 1).tolist()
    return DetectAnomaliesResult(
        score=score,
        threshold=threshold,
        is_anomaly=score > threshold,
        percentile=calibration.percentile_of(score_name, score),
        p_value=calibration.p_value(score_name, score),
        contributions=contributions,
        top=tuple(Contribution(tuple(index), value) for index, value in zip(indices, values.tolist(), strict=True)),
    )
