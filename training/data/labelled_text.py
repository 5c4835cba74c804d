"""Texts of which each belongs to one class."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelledText:
    """A text and its class: a place in the `LABELS` of its data set."""

    text: str
    label: int
