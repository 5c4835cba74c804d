"""Requests and results of the classification of items, and results of that of texts."""

from dataclasses import dataclass
from typing import Literal

from models.tasks.autoencoding import ItemRequest

Activation = Literal["softmax", "sigmoid", "none"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassifyRequest(ItemRequest):
    """A request for the `top_k` best labels of an item; all labels if None.

    `function_to_apply` turns logits into scores.
    """

    top_k: int | None = None
    function_to_apply: Activation = "softmax"


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label and its score."""

    label: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassifyResult:
    """The labels of an item, in descending order of their scores."""

    labels: tuple[LabelScore, ...] = ()
