"""Texts as foreign dialects send them: one text or several, or the ids of their tokens."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from app.errors import Fault, InvalidRequest
from app.schemas.shared.parsing import MAX_FAULTS

TEXTS_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "minItems": 1, "items": {"type": "string"}},
        {"type": "array", "minItems": 1, "items": {"type": "integer"}},
        {"type": "array", "minItems": 1, "items": {"type": "array", "minItems": 1, "items": {"type": "integer"}}},
    ]
}
"""JSON schema of texts or token ids."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """The texts of a body.

    Attributes:
        items: the texts, or lists of token ids, as native items.
        place: the JSON pointer of the field, without its first slash.
        is_single: whether the field is one text and not a list of such.
    """

    items: list[str | list[int]]
    place: str
    is_single: bool

    @property
    def names(self) -> dict[str, str]:
        """The names that the dialect has for the pointers of native errors."""
        return {"inputs/0" if self.is_single else "inputs": self.place, "inputs": self.place}

    @property
    def first_ids(self) -> int | None:
        """The index of the first item of token ids; None if all are texts."""
        return next((index for index, item in enumerate(self.items) if not isinstance(item, str)), None)


def read_texts(value: Any, place: str, *, takes_empty: bool = True) -> Texts:
    """Return the texts of the field at `place`: a text, a list of texts, a list of token ids or a list of such lists.

    Raises:
        InvalidRequest: it is none of these, is an empty list, or has an empty text although `takes_empty` is false.
    """
    is_single = isinstance(value, str) or _are_ids(value)
    if not is_single and (not isinstance(value, list) or not value):
        detail = "it must be a text or a list of at least one text"
        raise InvalidRequest.of([Fault(f"/{place}", detail)])
    items = [value] if is_single else value
    if faults := list(islice(_faults(items, place, is_single, takes_empty), MAX_FAULTS)):
        raise InvalidRequest.of(faults)
    return Texts(items=items, place=place, is_single=is_single)


def _faults(items: list[Any], place: str, is_single: bool, takes_empty: bool) -> Iterator[Fault]:
    for index, item in enumerate(items):
        pointer = f"/{place}" if is_single else f"/{place}/{index}"
        if item == "" and not takes_empty:
            yield Fault(pointer, "the text is empty")
        elif not isinstance(item, str) and not _are_ids(item):
            yield Fault(pointer, "it must be a text or a list of token ids")


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(element) is int for element in value)
