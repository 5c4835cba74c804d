"""Measures of detectors of anomalous ranges in series.

Shapes: `T` steps.
"""

import numpy as np
from numpy.typing import NDArray

from models.codecs.arrays import runs_of

N_THRESHOLDS = 250
"""Number of thresholds, at even ranks of the scores."""
Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]


def volume_under_precision_recall(scores: Scores, is_anomaly: Flags, max_buffer: int) -> float:
    """Return the volume under the surface of precision and recall (VUS-PR), from 0 to 1.

    The area under the curve of range-based precision and recall is averaged over buffers of 0 to `max_buffer` steps,
    half of which lie on each side of a labelled range and count partly. Source: Paparrizos, Boniol, Palpanas, Tsay,
    Elmore, Franklin, Volume Under the Surface, VLDB 2022; with the thresholds of TSB-AD (Liu, Paparrizos, 2024).

    Args:
        scores: the score of each step, `[T]`.
        is_anomaly: whether each step is labelled, `[T]`; at least one is.
        max_buffer: the longest buffer.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    thresholds = ordered[np.linspace(0, len(scores) - 1, N_THRESHOLDS).astype(int)]
    n_above = np.searchsorted(-ordered, -thresholds, side="right")
    ranges = ranges_of(is_anomaly)
    areas = []
    for buffer in range(max_buffer + 1):
        weights = _weights(ranges, len(scores), buffer)
        found = np.cumsum(weights[order])[n_above - 1]
        found_beside = np.cumsum((weights * ~is_anomaly)[order])[n_above - 1]
        peaks = np.array([scores[first : last + 1].max() for first, last in _merged(ranges, len(scores), buffer)])
        share_touched = (peaks[:, None] >= thresholds).mean(0)
        recall = np.minimum(found / (is_anomaly.sum() + found_beside / 2), 1) * share_touched
        areas.append(float(np.dot(np.diff(recall, prepend=0.0), found / n_above)))
    return float(np.mean(areas))


def share_of_ranges_found(scores: Scores, is_anomaly: Flags, false_alarm_rate: float) -> float:
    """Return the share of the labelled ranges with a score above the threshold.

    The threshold is the lowest that no more than `false_alarm_rate` of the unlabelled steps exceed.
    """
    normal = np.sort(scores[~is_anomaly])[::-1]
    threshold = normal[int(false_alarm_rate * len(normal))]
    return float(np.mean([scores[first : last + 1].max() > threshold for first, last in ranges_of(is_anomaly)]))


def ranges_of(flags: Flags) -> list[tuple[int, int]]:
    """Return the first and the last step of each run of true values of `[T]`."""
    return [(first, end - 1) for first, end in runs_of(flags)]


def _weights(ranges: list[tuple[int, int]], n_steps: int, buffer: int) -> Scores:
    """Return how much each step counts as an anomaly, `[T]`: 1 in a range, and less the farther it is from one."""
    weights = np.zeros(n_steps)
    for first, last in ranges:
        weights[first : last + 1] = 1
        for distance in range(1, buffer // 2 + 1):
            part = np.sqrt(1 - distance / buffer)
            for place in (first - distance, last + distance):
                if 0 <= place < n_steps:
                    weights[place] += part
    return np.minimum(weights, 1)


def _merged(ranges: list[tuple[int, int]], n_steps: int, buffer: int) -> list[tuple[int, int]]:
    """Return the ranges with their buffers, those that touch as one."""
    merged: list[tuple[int, int]] = []
    for first, last in ranges:
        start, end = max(0, first - buffer // 2), min(n_steps - 1, last + buffer // 2)
        if merged and merged[-1][1] >= start:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged
