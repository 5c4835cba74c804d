"""Attention weights for display.

Shapes: `H` heads, `Q` queries, `K` keys.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from models.errors import InvalidItems, Problem
from models.ops.devices import to_cpu
from models.tasks.text import AttendRequest, AttendResult
from models.text.attention_patterns import RecordedAttention
from models.text.text_model import TextModel

MAX_SHOWN_WEIGHTS = 2**22
"""Maximum number of attention weights that are returned for one text: some 50 MB of JSON."""


def show_attention(model: TextModel, requests: Sequence[AttendRequest]) -> list[AttendResult]:
    """Return how much each token of a text attends to each other, for all layers and heads that are asked for.

    Raises:
        InvalidItems: a text is empty or too long, a layer or head does not exist, or the weights are too many.
    """
    batch = model.batch_of([request.tokens for request in requests])
    recorded = RecordedAttention(batch.segments, causal=model.causal)
    model.hidden(batch, recorded)
    return [
        AttendResult(attention=selected_weights((layer[index] for layer in recorded.weights), request))
        for request, index in zip(requests, batch.inverse_order, strict=True)
    ]


def selected_weights(weights: Iterable[Tensor], request: AttendRequest) -> Tensor:
    """Return the layers and heads that are asked for, `[layers, heads, Q, K]`, on the CPU in float32.

    `weights` has one `[H, Q, K]` for each layer.

    Raises:
        InvalidItems: a layer or head does not exist, or the weights are more than `MAX_SHOWN_WEIGHTS`.
    """
    by_layer = list(weights)
    layers = _checked_indices("layers", request.layers, len(by_layer))
    heads = _checked_indices("heads", request.heads, by_layer[0].shape[0])
    n_weights = len(layers) * len(heads) * by_layer[0][0].numel()
    if n_weights > MAX_SHOWN_WEIGHTS:
        advice = f"the limit is {MAX_SHOWN_WEIGHTS}: ask for fewer layers or heads"
        raise InvalidItems(Problem(f"the text has {n_weights} attention weights; {advice}"))
    return to_cpu(torch.stack([by_layer[layer][heads] for layer in layers]))


def _checked_indices(name: str, indices: Sequence[int] | None, n: int) -> list[int]:
    """Return the indices, all `n` if None; raise InvalidItems, which points at the index, if one is out of range."""
    if indices is None:
        return list(range(n))
    for place, index in enumerate(indices):
        if not 0 <= index < n:
            detail = f"{name} has {index}; this model's are 0 to {n - 1}"
            raise InvalidItems(Problem(detail, parameter=f"{name}/{place}"))
    return list(indices)
