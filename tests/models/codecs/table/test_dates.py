"""Dates in the forms that people write, and their places in cycles."""

from datetime import datetime
from typing import Any

import pytest

from models.codecs.table.dates import CYCLES, parse_date

NOON = datetime(2026, 1, 31, 12, 0)  # noqa: DTZ001


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00",
        "2026-01-31 12:00",
        "2026-01-31T12:00:00Z",
        "2026-01-31T14:00:00+02:00",
        "20260131T120000",
        "31.01.2026 12:00",
        "2026/01/31 12:00:00",
        "31 Jan 2026 12:00:00",
        1769860800,
        1769860800000,
        "1769860800",
        " 1769860800.0 ",
    ],
)
def test_common_forms_are_the_same_moment(text: Any) -> None:
    assert parse_date(text) == NOON


@pytest.mark.parametrize("text", ["", "noon", "31/01/2026", "2026-13-01", "nan", True, None, [], 1e300, "1e400", -1e20])
def test_what_is_no_date_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_date(text)


@pytest.mark.parametrize(
    ("cycle", "place", "words"), [("day", 0.5, "12:00"), ("week", 5 / 7, "Saturday"), ("year", 30 / 366, "day 31")]
)
def test_places_in_cycles(cycle: str, place: float, words: str) -> None:
    assert CYCLES[cycle].place_of(NOON) == place
    assert CYCLES[cycle].describe(place) == words
