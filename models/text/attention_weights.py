"""Placeholder: to be described."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from models.errors import InvalidItems, Problem
from models.ops.devices import to_cpu
from models.tasks.text import AttendRequest

MAX_SHOWN_WEIGHTS = 2**22
"""Of attention, for one text: some 50 MB of JSON."""


def selected_weights(weights: Iterable[Tensor], request: AttendRequest) -> Tensor:
    """Of one `[H, Q, K]` a layer, the layers and heads that are asked for: `[layers, heads, Q, K]`, on the CPU.

    Raises:
        InvalidItems: there is no such layer or head, or the weights are too many to be shown.
    """
    by_layer = list(weights)
    layers = _places("layers", request.layers, len(by_layer))
    heads = _places("heads", request.heads, by_layer[0].shape[0])
    n_weights = len(layers) * len(heads) * by_layer[0][0].numel()
    if n_weights > MAX_SHOWN_WEIGHTS:
        advice = f"the limit is {MAX_SHOWN_WEIGHTS}: ask for fewer layers or heads"
        raise InvalidItems(Problem(f"the text has {n_weights} attention weights; {advice}"))
    return to_cpu(torch.stack([by_layer[layer][heads] for layer in layers]))


def _places(name: str, places: Sequence[int] | None, n: int) -> list[int]:
    if places is None:
        return list(range(n))
    if wrong := [place for place in places if not 0 <= place < n]:
        raise InvalidItems(Problem(f"{name} has {wrong[0]}; this model's are 0 to {n - 1}"))
    return list(places)
