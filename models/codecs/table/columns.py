"""The columns of a table: how a value becomes elements of a row, and elements become a value again.

Values are those of JSON: numbers, booleans, strings and null. Files without types, such as CSV, give strings.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from models.codecs.table.dates import CYCLES, Cycle, parse_date

OTHER = "(other)"
"""What stands in answers for a category that is none of a column's values."""
MAX_SHOWN = 60
"""Most characters of a value that an error shows."""
MAX_POSITION = 50.0
"""Largest element of a number; sinh of it is 2.6e21 scales from the centre."""
GAPS = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
"""Cells of a file, in lower case and without spaces around them, that stand for a missing value."""
TRUE, FALSE = ("true", "yes", "y", "t", "1"), ("false", "no", "n", "f", "0")
"""Strings, in lower case, that stand for booleans."""


class InvalidValue(ValueError):
    """A value is none of its column. The message ends the sentence "The value is …"; `place` is its index."""

    def __init__(self, message: str, place: int) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True)
class Column(ABC):
    """A column of a table.

    Attributes:
        name: the name of the column.
        has_gaps: whether values were missing in the training data. A row then has an element that says so.
    """

    kind: ClassVar[str]

    name: str
    has_gaps: bool

    @property
    @abstractmethod
    def width(self) -> int:
        """Number of elements of a value."""

    @abstractmethod
    def elements_of(self, value: Any) -> Sequence[float]:
        """Return the `width` elements of a value that is not null.

        Raises:
            ValueError: it is no value of the column; the message ends the sentence "The value is …".
        """

    def elements_of_all(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Return the elements of values that are not null, `[n, width]`.

        Raises:
            InvalidValue: one is no value of the column.
        """
        elements = []
        for place, value in enumerate(values):
            try:
                elements.append(self.elements_of(value))
            except ValueError as error:
                raise InvalidValue(str(error), place) from None
        return np.array(elements, dtype=np.float64).reshape(len(values), self.width)

    @abstractmethod
    def value_of(self, elements: Sequence[float]) -> Any:
        """Return the value that is nearest to `width` finite elements."""

    def describe(self) -> dict[str, Any]:
        """Return what clients need to know of the column, in the types of JSON."""
        return {"name": self.name, "kind": self.kind, "has_gaps": self.has_gaps}


@dataclass(frozen=True)
class NumberColumn(Column):
    """Numbers. The element of x is asinh((x - centre) / scale), so that outliers stay visible and do not dominate.

    Attributes:
        centre: the middle of the training data, such as their median.
        scale: the spread of the training data, which is positive.
        unit: the unit of the numbers, for people; empty if there is none.
        is_integer: whether all numbers of the training data were integers. Answers then hold integers.
    """

    kind: ClassVar[str] = "number"

    centre: float
    scale: float
    unit: str = ""
    is_integer: bool = False

    @property
    @override
    def width(self) -> int:
        return 1

    @override
    def elements_of(self, value: Any) -> Sequence[float]:
        return [math.asinh((number_from(value) - self.centre) / self.scale)]

    @override
    def elements_of_all(self, values: Sequence[Any]) -> NDArray[np.float64]:
        if set(map(type, values)) <= {int, float, str}:
            with suppress(ValueError, OverflowError):
                numbers = np.array(list(map(float, values)), dtype=np.float64)
                if np.isfinite(numbers).all():
                    return np.arcsinh((numbers - self.centre) / self.scale)[:, None]
        return super().elements_of_all(values)  # names the value

    @override
    def value_of(self, elements: Sequence[float]) -> float | int:
        position = max(-MAX_POSITION, min(elements[0], MAX_POSITION))
        number = self.centre + self.scale * math.sinh(position)
        return round(number) if self.is_integer else number

    @override
    def describe(self) -> dict[str, Any]:
        return {**super().describe(), **({"unit": self.unit} if self.unit else {})}


@dataclass(frozen=True)
class BooleanColumn(Column):
    """Booleans: true is 1, false is 0."""

    kind: ClassVar[str] = "boolean"

    @property
    @override
    def width(self) -> int:
        return 1

    @override
    def elements_of(self, value: Any) -> Sequence[float]:
        if isinstance(value, bool):
            return [float(value)]
        text = str(value).strip().lower()
        if text in TRUE or text in FALSE:
            return [float(text in TRUE)]
        raise ValueError(f"{show(value)}, which is neither true nor false")

    @override
    def value_of(self, elements: Sequence[float]) -> bool:
        return elements[0] > 0.5


@dataclass(frozen=True)
class CategoryColumn(Column):
    """Categories: an element for each known value, of which one is 1, and a last one for all others.

    Attributes:
        values: the known values, as strings.
    """

    kind: ClassVar[str] = "category"

    values: tuple[str, ...]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {value: place for place, value in enumerate(self.values)}

    @property
    @override
    def width(self) -> int:
        return len(self.values) + 1

    def is_known(self, value: Any) -> bool:
        """Return whether a value is one of those in the training data, and not rare there."""
        return category_from(value) in self._places

    @override
    def elements_of(self, value: Any) -> Sequence[float]:
        elements = [0.0] * self.width
        elements[self._places.get(category_from(value), -1)] = 1.0
        return elements

    @override
    def value_of(self, elements: Sequence[float]) -> str:
        place = max(range(self.width), key=elements.__getitem__)
        return self.values[place] if place < len(self.values) else OTHER

    @override
    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "values": list(self.values)}


@dataclass(frozen=True)
class DateColumn(Column):
    """Dates and times, of which a model sees the place in cycles: a sine and a cosine for each.

    How late a date is does not count: rows that come after the training data would all be strange.

    Attributes:
        cycles: the names of the cycles, which `models.codecs.table.dates.CYCLES` explains.
    """

    kind: ClassVar[str] = "date"

    cycles: tuple[str, ...]

    @cached_property
    def _cycles(self) -> tuple[Cycle, ...]:
        return tuple(CYCLES[name] for name in self.cycles)

    @property
    @override
    def width(self) -> int:
        return 2 * len(self.cycles)

    @override
    def elements_of(self, value: Any) -> Sequence[float]:
        try:
            date = parse_date(value)
        except ValueError:
            raise ValueError(f"{show(value)}, which is no date; an example is 2026-01-31T12:00:00") from None
        angles = [2 * math.pi * cycle.place_of(date) for cycle in self._cycles]
        return [wave for angle in angles for wave in (math.sin(angle), math.cos(angle))]

    @override
    def value_of(self, elements: Sequence[float]) -> dict[str, str]:
        """Return the place in each cycle in words, such as `{"day": "13:05", "week": "Tuesday"}`."""
        waves = zip(elements[::2], elements[1::2], strict=True)
        places = [math.atan2(sine, cosine) / (2 * math.pi) % 1 for sine, cosine in waves]
        return {cycle.name: cycle.describe(place) for cycle, place in zip(self._cycles, places, strict=True)}

    @override
    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "cycles": list(self.cycles)}


def number_from(value: Any) -> float:
    """Return a number, or a string that holds one, as a float.

    Raises:
        ValueError: it is neither, or not finite in float64.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{show(value)}, which is no number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{show(value)}, which is no number") from None
    if not math.isfinite(number):
        raise ValueError(f"{show(value)}, which is no finite number")
    return number


def category_from(value: Any) -> str:
    """Return the name of a category: a string without spaces around it, or a number or boolean as JSON writes it.

    Raises:
        ValueError: it is a list or an object.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)
    raise ValueError(f"{show(value)}, which is no string")


def show(value: Any) -> str:
    """Return a value as an error shows it, shortened."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**MAX_SHOWN else "a very long integer"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
