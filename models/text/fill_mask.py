"""The likeliest words at masks.

Shapes: `n` masks of a text, `V` vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.ops.devices import to_cpu
from models.tasks.text import Fill, FillMaskRequest, FillMaskResult
from models.text.text_encoder import TextEncoder


def fill_mask(model: TextEncoder, requests: Sequence[FillMaskRequest]) -> list[FillMaskResult]:
    """Return the likeliest tokens at each mask of each text, with their probabilities.

    Raises:
        InvalidItems: a text is empty or too long.
    """
    batch, hidden = model.read([request.tokens for request in requests])
    masked = hidden[batch.token_rows([request.positions for request in requests])]
    probs = to_cpu(model.masked_logits(masked)).softmax(-1)
    parts = torch.split(probs, [len(request.positions) for request in requests])
    return [FillMaskResult(fills=_best_fills(*pair)) for pair in zip(requests, parts, strict=True)]


def _best_fills(request: FillMaskRequest, probs: Tensor) -> tuple[tuple[Fill, ...], ...]:
    """Return the best tokens of each row of probabilities `[n, V]`, among the request's targets if it has any."""
    ids = torch.tensor(request.targets) if request.targets is not None else torch.arange(probs.shape[1])
    scores, ranks = probs[:, ids].topk(min(request.top_k, len(ids)))
    return tuple(
        tuple(Fill(int(ids[rank]), score) for rank, score in zip(*row, strict=True))
        for row in zip(ranks.tolist(), scores.tolist(), strict=True)
    )
