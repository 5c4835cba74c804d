"""Measures of detectors of anomalous ranges."""

import numpy as np
import pytest

from benchmarks.detection.ranges import ranges_of, share_of_ranges_found, volume_under_precision_recall

FLAGS = np.array([0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0], dtype=bool)


def test_ranges_are_runs() -> None:
    assert ranges_of(FLAGS) == [(3, 4), (9, 9)]
    assert ranges_of(~FLAGS) == [(0, 2), (5, 8), (10, 11)]
    assert ranges_of(np.zeros(3, dtype=bool)) == []


def test_a_perfect_detector_has_the_whole_volume_and_a_reversed_one_little() -> None:
    assert volume_under_precision_recall(FLAGS.astype(float), FLAGS, 0) == pytest.approx(1.0)
    assert volume_under_precision_recall(-FLAGS.astype(float), FLAGS, 0) < 0.3


def test_without_a_buffer_it_is_average_precision_weighted_by_the_ranges_touched() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.9, 0.5, 0.6, 0.0, 0.7, 0.05, 0.8, 0.15, 0.25])
    # In descending order: hits at ranks 1, 2 and 5. Recall 1/3 of one range of two, then 2/3 and 1 of both.
    expected = 1 / 3 * 1 / 2 * 1 + (2 / 3 - 1 / 6) * 1 + (1 - 2 / 3) * 3 / 5
    assert volume_under_precision_recall(scores, FLAGS, 0) == pytest.approx(expected)


def test_a_score_beside_a_range_counts_in_a_buffer() -> None:
    beside = np.roll(FLAGS, 1).astype(float)
    assert volume_under_precision_recall(beside, FLAGS, 4) > volume_under_precision_recall(beside, FLAGS, 0)


def test_ranges_are_found_above_the_threshold_that_the_rate_allows() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.9, 0.5, 0.6, 0.0, 0.7, 0.05, 0.65, 0.15, 0.25])
    assert share_of_ranges_found(scores, FLAGS, 0.0) == 0.5
    assert share_of_ranges_found(scores, FLAGS, 1 / 9) == 1.0
