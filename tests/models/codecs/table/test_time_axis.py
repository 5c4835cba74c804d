"""Times as even steps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from models.codecs.table.time_axis import TimeAxis, to_even_steps

REGULAR = TimeAxis("at", 0.1, is_irregular=False, max_gap=5)
IRREGULAR = TimeAxis("at", 10.0, is_irregular=True, max_gap=5)


@pytest.mark.parametrize(
    "times",
    [
        [0, 0.1, 0.2, 0.5],
        ["1.5", "1.6", "1.7", "2.0"],
        [1.7e9, 1.7e9 + 0.1, 1.7e9 + 0.2, 1.7e9 + 0.5],
        [1_700_000_000_000, 1_700_000_000_100, 1_700_000_000_200, 1_700_000_000_500],
        ["2026-01-31T12:00:00.00", "2026-01-31T12:00:00.10", "2026-01-31T12:00:00.20", "2026-01-31T12:00:00.50"],
        [
            "2026-01-31T12:00:00.00Z",
            "2026-01-31T13:00:00.10+01:00",
            "2026-01-31T12:00:00.20Z",
            "2026-01-31T12:00:00.5Z",
        ],
        [0.01, 0.09, 0.21, 0.5],
    ],
)
def test_times_in_common_forms_are_steps(times: Sequence[Any]) -> None:
    assert REGULAR.steps_of(times).tolist() == [0, 1, 2, 5]


@pytest.mark.parametrize(
    ("axis", "times", "words"),
    [
        (REGULAR, [0, 0.1, "soon"], "'soon' in row 2 of the column 'at' is no time"),
        (REGULAR, [0, 0.1, None], "None in row 2 of the column 'at' is no time"),
        (REGULAR, [0, 0.2, 0.1], "0.1 in row 2 of the column 'at' must be a step of 0.1 s later than that of row 1"),
        (REGULAR, [0, 0.1, 0.1], "must be a step of 0.1 s later"),
        (REGULAR, [0, 0.1, 0.2, 0.34, 0.4, 0.5], "0.34 in row 3 of the column 'at' lies between the steps"),
        (REGULAR, [0, 0.1, 0.8], "is 7 steps later than that of row 1, and at most 5 are bridged"),
        (IRREGULAR, [0, 3, 3], "3 in row 2 of the column 'at' must be later than that of row 1"),
        (IRREGULAR, [0, 3, 100], "100 in row 2 of the column 'at' is 10 steps later"),
    ],
)
def test_times_out_of_place_are_refused_with_their_row(axis: TimeAxis, times: Sequence[Any], words: str) -> None:
    with pytest.raises(ValueError, match="row") as caught:
        axis.steps_of(times)
    assert words in str(caught.value)


def test_missing_steps_are_interpolated_or_gaps() -> None:
    elements = np.array([[0.0, 5.0], [1.0, 5.0], [4.0, 8.0]])
    places = np.array([0.0, 1.0, 4.0])
    steps, rows_to_steps = to_even_steps(elements, places, gaps=False)
    assert steps.tolist() == [[0, 5], [1, 5], [2, 6], [3, 7], [4, 8]]
    assert rows_to_steps.tolist() == [0, 1, 4]
    steps, _ = to_even_steps(elements, places, gaps=True)
    assert np.isnan(steps[2:4]).all()
    assert steps[rows_to_steps].tolist() == elements.tolist()


def test_uneven_times_are_interpolated() -> None:
    places = IRREGULAR.steps_of([0, 5, 20, 31])
    steps, rows_to_steps = to_even_steps(np.array([[0.0], [1.0], [4.0], [6.2]]), places, gaps=False)
    assert steps[:, 0].tolist() == pytest.approx([0, 2, 4, 6])
    assert rows_to_steps.tolist() == [0, 0, 2, 3]
