"""The loss of the recurrent autoencoder of texts: the cross-entropy of each token (Shen et al. 2020, equation 2).

Shapes: `B` batch, `T` tokens of the longest text, `V` vocabulary.
"""

import torch
from torch import Tensor
from torch.nn import functional


def token_losses(logits: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Return the negative log-likelihood in nats of each token of `[B, T]` int64; it is 0 behind the lengths `[B]`.

    The logits are `[B, T, V]`.
    """
    losses = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
    is_real = torch.arange(targets.shape[1], device=targets.device) < lengths[:, None]
    return losses.view_as(targets) * is_real


def loss(logits: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean loss of all tokens before the lengths `[B]`, a scalar; see `token_losses`."""
    return token_losses(logits, targets, lengths).sum() / lengths.sum()
