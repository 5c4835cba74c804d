"""Scores that are too high for normal items.

Shapes: `N` scores.
"""

from dataclasses import replace

import torch
from torch import Tensor

from models.autoencoding.calibration import Calibration, most_above, percentile_for

MIN_DEVIATIONS = 5.0
"""Distance of the logarithm of a score from the median, in robust standard deviations, from which it is left out."""
MIN_SUSPECTS, MIN_GAP = 4, 0.5
"""Least number of held-out scores that are left out together, and the least gap between their logarithms and that of
the next one, in robust standard deviations. The highest scores of normal items have gaps, but between fewer scores."""
NORMAL_DEVIATION = 1.4826
"""Standard deviation of a normal distribution, as a multiple of the median of the absolute deviations."""


def outliers(scores: Tensor, contamination: float | str) -> Tensor:
    """Return which of the scores `[N]` are too high for normal ones, `[N]`.

    They are the share `contamination` of the highest or, if that is `auto`, those that lie `MIN_DEVIATIONS` above the
    median. The logarithm is taken, since scores are positive and their distribution has a long tail.
    """
    if isinstance(contamination, float):
        n_left_out = round(contamination * len(scores))
        flags = torch.zeros(len(scores), dtype=torch.bool)
        flags[scores.argsort(descending=True)[:n_left_out]] = True
        return flags
    logarithms = _logarithms(scores)
    return logarithms > logarithms.median() + MIN_DEVIATIONS * _deviation(logarithms)


def _logarithms(scores: Tensor) -> Tensor:
    return scores.double().clamp(min=torch.finfo(torch.float32).tiny).log()


def _deviation(values: Tensor) -> Tensor:
    """Return a robust estimate of the standard deviation of values, from the median of the absolute deviations."""
    return NORMAL_DEVIATION * (values - values.median()).abs().median()


def without_suspects(calibration: Calibration, false_alarm_rate: float, n_left_out: int = 0) -> tuple[Calibration, int]:
    """Return a calibration without the scores that look like those of anomalies, and how many these are.

    Nobody knows that all held-out items are normal, and a few anomalies among them would raise the threshold above all
    anomalies that are like them. Of each score, the highest are left out that are outliers behind a gap, which the
    scores of normal items seldom have. They are so few that the rate is kept on average even if all of them are normal.

    Args:
        calibration: the scores of held-out items; the first one is the default.
        false_alarm_rate: the rate of false alarms that is promised.
        n_left_out: number of items that were left out before; see `models.autoencoding.calibration.percentile_for`.
    """
    scores = {}
    for name, held_out in calibration.scores.items():
        scores[name] = held_out[: len(held_out) - _n_suspects(held_out, false_alarm_rate)].clone()
    default = next(iter(scores))
    n_suspects = len(calibration.scores[default]) - len(scores[default])
    percentile = percentile_for(false_alarm_rate, len(scores[default]), n_left_out + n_suspects)
    return replace(calibration, scores=scores, percentile=percentile), n_suspects


def _n_suspects(scores: Tensor, false_alarm_rate: float) -> int:
    """Return how many of the ascending scores `[N]` are outliers behind a gap; 0 if too few or too many are."""
    n, logarithms = len(scores), _logarithms(scores)
    most = int(false_alarm_rate * (n + 1) + 1e-9) - 1 - most_above(false_alarm_rate, n) // 2
    is_behind_gap = logarithms.diff() >= MIN_GAP * _deviation(logarithms)
    firsts = (is_behind_gap & outliers(scores, "auto")[1:]).nonzero().flatten() + 1
    counts = [n - int(first) for first in firsts]
    return max((count for count in counts if MIN_SUSPECTS <= count <= most), default=0)
