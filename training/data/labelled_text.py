"""Texts that each belong to one class."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelledText:
    """A text and its class, an index into the `LABELS` of its data set."""

    text: str
    label: int
