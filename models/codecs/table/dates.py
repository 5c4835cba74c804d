"""Dates in common forms, and their places in the cycles of a day, a week and a year."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

FORMATS = (
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%d %b %Y %H:%M:%S",
    "%d %b %Y",
    "%b %d, %Y",
)
"""Forms that are read beside those of ISO 8601. Those with slashes that begin with the day or the month are ambiguous,
and are not read."""
EXAMPLE_DATE = datetime(2026, 1, 31, 12, tzinfo=UTC).replace(tzinfo=None)
"""The date in examples, which are written in ISO 8601."""
MILLISECONDS_FROM = 1e11
"""Numbers from here on are milliseconds since 1970, and smaller ones seconds; as seconds it is the year 5138."""
DAY_S, DAYS_OF_WEEK, DAYS_OF_YEAR = 86_400, 7, 366
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Cycle:
    """A cycle of dates.

    Attributes:
        name: its name.
        place_of: returns the place of a date in the cycle, from 0 to less than 1.
        describe: returns a place in words.
    """

    name: str
    place_of: Callable[[datetime], float]
    describe: Callable[[float], str]


def _time_of_day(date: datetime) -> float:
    seconds = date.hour * 3600 + date.minute * 60 + date.second + date.microsecond / 1e6
    return seconds / DAY_S


def _describe_time(place: float) -> str:
    minutes = round(place * 1440) % 1440
    return f"{minutes // 60:02}:{minutes % 60:02}"


CYCLES = {
    cycle.name: cycle
    for cycle in (
        Cycle("day", _time_of_day, _describe_time),
        Cycle(
            "week",
            lambda date: date.weekday() / DAYS_OF_WEEK,
            lambda place: WEEKDAYS[round(place * DAYS_OF_WEEK) % DAYS_OF_WEEK],
        ),
        Cycle(
            "year",
            lambda date: (date.timetuple().tm_yday - 1) / DAYS_OF_YEAR,
            lambda place: f"day {round(place * DAYS_OF_YEAR) % DAYS_OF_YEAR + 1}",
        ),
    )
}
"""The cycles by name: the time of day, the day of the week, and the day of the year."""


def parse_date(value: Any) -> datetime:
    """Return a date: from ISO 8601 or one of `FORMATS`, or from seconds or milliseconds since 1970.

    Dates with an offset are converted to UTC; those without are taken as they are.

    Raises:
        ValueError: it is no date, or lies outside of the years 1 to 9999.
    """
    if isinstance(value, str):
        text = value.strip()
        date = _from_text(text)
        if date is not None:
            return date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo else date
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no date")
    seconds = value / 1000 if abs(value) >= MILLISECONDS_FROM else value
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{value!r} is no date") from error


def _from_text(text: str) -> datetime | None:
    if text.isdigit() and len(text) != len("20260131"):  # a number, which ISO 8601 would take for a year and a week
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        for form in FORMATS:
            try:
                return datetime.strptime(text, form)  # noqa: DTZ007 - dates without an offset are taken as they are
            except ValueError:
                continue
    return None
