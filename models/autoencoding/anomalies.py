"""From an item's score to a verdict."""

import numpy as np
from torch import Tensor

from models.autoencoding.calibration import Calibration
from models.tasks.autoencoding import Contribution, DetectAnomaliesRequest, DetectAnomaliesResult


def judge(
    request: DetectAnomaliesRequest, score_name: str, contributions: Tensor, calibration: Calibration
) -> DetectAnomaliesResult:
    """Compare the sum of `contributions`, of the item's shape, with the held-out normal items' scores."""
    score = contributions.double().sum().item()
    threshold = request.threshold
    if threshold is None:
        percentile = calibration.percentile if request.percentile is None else request.percentile
        threshold = calibration.threshold(score_name, percentile)
    values, places = contributions.flatten().topk(min(request.n_top, contributions.numel()))
    indices = np.stack(np.unravel_index(places.numpy(), contributions.shape), 1).tolist()
    return DetectAnomaliesResult(
        score=score,
        threshold=threshold,
        is_anomaly=score > threshold,
        percentile=calibration.percentile_of(score_name, score),
        p_value=calibration.p_value(score_name, score),
        contributions=contributions,
        top=tuple(Contribution(tuple(i), value) for i, value in zip(indices, values.tolist(), strict=True)),
    )
