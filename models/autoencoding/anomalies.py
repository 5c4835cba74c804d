"""The task `detect_anomalies`."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration
from models.autoencoding.coverage import as_amid
from models.autoencoding.windows import Windows, apply_to_windows
from models.errors import InvalidItems, Problem
from models.tasks.autoencoding import Contribution, DetectAnomaliesRequest, DetectAnomaliesResult, StepScores


def detect_anomalies(model: Autoencoder, requests: Sequence[DetectAnomaliesRequest]) -> list[DetectAnomaliesResult]:
    """Compute the anomaly scores of items and compare them with those of held-out normal items.

    Raises:
        InvalidItems: the model does not have the score that a request names, or too few held-out scores to promise a
            rate of false alarms; or the score compares items with series of another length.
    """
    for request in requests:
        if request.score not in (None, *model.scores):
            detail = f"score is {request.score!r}; this model has {', '.join(model.scores)}"
            raise InvalidItems(Problem(detail, parameter="score"))
        _require_comparable(model, request.score or model.scores[0], request.item)
    names = [request.score or model.scores[0] for request in requests]
    results: dict[int, DetectAnomaliesResult] = {}
    for score in dict.fromkeys(names):
        indices = [i for i, name in enumerate(names) if name == score]
        chosen = [requests[i] for i in indices]
        contributions = contributions_of(model, [request.item for request in chosen], score)
        compared = compare_with_normal(
            chosen, score, contributions, model.calibration, by_step=model.windows is not None
        )
        results |= dict(zip(indices, compared, strict=True))
    return [results[i] for i in range(len(requests))]


def _require_comparable(model: Autoencoder, score: str, item: Tensor) -> None:
    """Refuse a series of another length than those that the score compares it with.

    Raises:
        InvalidItems: the score is one of the detector's, and the model does not split series into windows.
    """
    if model.detector is None or model.windows is not None or score not in model.detector.score_names:
        return
    if tuple(item.shape) != model.input_shape:
        others = ", ".join(name for name in model.scores if name not in model.detector.score_names)
        detail = f"the score {score!r} is for series of {model.input_shape[0]} steps, and this one has {len(item)}"
        raise InvalidItems(Problem(f"{detail}; for other lengths, the parameter score may be one of {others}"))


def contributions_of(model: Autoencoder, items: Sequence[Tensor], score: str) -> list[Tensor]:
    """Return how much each element contributes to the score of its item or, in long series, to that of its step.

    They have the shape of the item. The score of a step is the least of the scores of the windows that contain it: a
    single strange value makes all of them strange, and the steps beside it are in windows that do not reach it. Where
    few windows contain a step, its score is made comparable with those of others. The elements of a step share its
    score as they do on average over its windows.
    """
    windows = model.windows
    if windows is None:
        return model.score_contributions(items, score)
    parts = _contributions_of_windows(model, windows, items, score)
    least = model.least_scores.get(score)
    return [_by_step(windows, part, len(item), least) for part, item in zip(parts, items, strict=True)]


def window_scores(model: Autoencoder, items: Sequence[Tensor], score: str) -> list[Tensor]:
    """Return the scores of the windows of each series, `[N]`. The model is one of windows."""
    if model.windows is None:
        raise NotImplementedError(f"this {type(model).__name__} takes items as a whole")
    return [_sums(part) for part in _contributions_of_windows(model, model.windows, items, score)]


def _contributions_of_windows(
    model: Autoencoder, windows: Windows, items: Sequence[Tensor], score: str
) -> list[Tensor]:
    """Return the contributions to the scores of the windows of each series, `[N, L, E]`."""
    return apply_to_windows(windows, items, lambda few: model.score_contributions(few, score))


def _sums(contributions: Tensor) -> Tensor:
    """Return the scores of windows, `[N]`, from their contributions, `[N, L, E]`."""
    return contributions.flatten(1).sum(1)


def _by_step(windows: Windows, contributions: Tensor, n_steps: int, least: Tensor | None) -> Tensor:
    """Return the contributions `[T, E]` to the scores of steps, of those `[N, L, E]` to the scores of windows."""
    scores = windows.least(_sums(contributions), n_steps)
    if least is not None:
        scores = as_amid(scores, windows.n_containing(n_steps), least)
    means = windows.mean(contributions, n_steps)
    return means * (scores / means.sum(1).clamp(min=torch.finfo(means.dtype).tiny))[:, None]


def scores_from(contributions: Tensor, *, by_step: bool) -> Tensor:
    """Return the score of an item, `[1]`, or with `by_step` those of its steps, `[T]`, in float64."""
    sums = contributions.double()
    return sums.flatten(1).sum(1) if by_step else sums.sum()[None]


class ThresholdRequest(Protocol):
    """What a request says about the threshold of anomalies; see `DetectAnomaliesRequest`."""

    @property
    def threshold(self) -> float | None:
        """The threshold itself."""

    @property
    def percentile(self) -> float | None:
        """The percentile of the normal items' scores that is the threshold."""

    @property
    def false_alarm_rate(self) -> float | None:
        """The probability with which normal items exceed the threshold."""

    @property
    def n_top(self) -> int:
        """The number of contributions to name."""


def compare_with_normal(
    requests: Sequence[ThresholdRequest],
    score_name: str,
    contributions: Sequence[Tensor],
    calibration: Calibration,
    *,
    by_step: bool,
) -> list[DetectAnomaliesResult]:
    """Compare the sums of the contributions to the scores of items with the scores of normal items.

    Raises:
        InvalidItems: there are too few held-out scores to promise a rate of false alarms.
    """
    scores = [scores_from(each, by_step=by_step) for each in contributions]
    p_values = torch.split(calibration.p_values(score_name, torch.cat(scores)), [len(each) for each in scores])
    greatest = torch.stack([each.max() for each in scores]) if by_step else torch.cat(scores)
    least = torch.stack([each.min() for each in p_values]) if by_step else torch.cat(p_values)
    percentiles = calibration.percentiles_of(score_name, greatest).tolist()
    thresholds = [_threshold(request, score_name, calibration) for request in requests]
    return [
        DetectAnomaliesResult(
            score=score,
            threshold=thresholds[i],
            is_anomaly=score > thresholds[i],
            percentile=percentiles[i],
            p_value=p_value,
            steps=StepScores(scores=scores[i], p_values=p_values[i]) if by_step else None,
            contributions=contributions[i],
            top=_greatest(contributions[i], requests[i].n_top),
        )
        for i, (score, p_value) in enumerate(zip(greatest.tolist(), least.tolist(), strict=True))
    ]


def _greatest(contributions: Tensor, n: int) -> tuple[Contribution, ...]:
    """Return the `n` greatest contributions, or all if there are fewer, the greatest first."""
    values = contributions.numpy().ravel()
    places = np.argpartition(values, -min(n, len(values)))[-n:] if 0 < n < len(values) else np.arange(len(values))[:n]
    places = places[np.argsort(-values[places], kind="stable")]
    indices = zip(*(axis.tolist() for axis in np.unravel_index(places, contributions.shape)), strict=True)
    return tuple(Contribution(index, value) for index, value in zip(indices, values[places].tolist(), strict=True))


def _threshold(request: ThresholdRequest, score: str, calibration: Calibration) -> float:
    if request.threshold is not None:
        return request.threshold
    if request.false_alarm_rate is None:
        percentile = calibration.percentile if request.percentile is None else request.percentile
        return calibration.threshold(score, percentile)
    try:
        return calibration.threshold_for(score, request.false_alarm_rate)
    except ValueError as error:
        detail = f"a rate of {request.false_alarm_rate:g} cannot be promised: {error}"
        raise InvalidItems(Problem(detail, parameter="false_alarm_rate")) from None
