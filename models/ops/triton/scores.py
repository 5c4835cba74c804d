"""The likeliest token.

Shapes: `B` rows, `V` vocabulary.
"""

import torch
from torch import Tensor

from models.ops.triton.launch import LOGITS_AT_ONCE, launch


def top_tokens(logits: Tensor) -> Tensor:
    """Return the first of the likeliest tokens of each row of `[B, V]` and its log-probability: `[2, B]`, float64."""
    out = torch.empty((2, len(logits)), dtype=torch.float64, device=logits.device)
    n_rows, n_tokens = logits.shape
    launch("top_tokens", (n_rows, 1, 1), (logits, out, logits.stride(0), n_tokens, n_rows), (LOGITS_AT_ONCE,))
    return out
