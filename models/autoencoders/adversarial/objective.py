"""What the adversarial autoencoder minimises, in its three phases.

Shapes: `B` batch, `Z` latent width, `C` classes.

Source: Makhzani et al. 2015, sections 2 and 5; consistency: Sohn et al. 2020, equation 4, without its threshold.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from models.objectives import squared_error

__all__ = ["consistency", "discrimination", "regularisation", "squared_error"]


def discrimination(discriminator: nn.Module, codes: Tensor, prior: Tensor) -> Tensor:
    """What the discriminator minimises: cross-entropy of telling `prior` draws from `codes`, both `[B, Z]`.

    Codes are constants here, so that this trains the discriminator alone. A scalar in nats; log 2 is a fair coin.
    """
    real, fake = discriminator(prior), discriminator(codes.detach())
    return 0.5 * (
        functional.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        + functional.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    )


def regularisation(discriminator: nn.Module, codes: Tensor) -> Tensor:
    """What the encoder minimises: the cross-entropy of its `codes` `[B, Z]` passing for draws of the prior.

    The discriminator's weights are constants here, so that this trains the encoder alone.
    """
    frozen = {name: tensor.detach() for name, tensor in discriminator.state_dict(keep_vars=True).items()}
    logits: Tensor = functional_call(discriminator, frozen, (codes,))
    return functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def consistency(weak_logits: Tensor, strong_logits: Tensor, confidence: float) -> Tensor:
    """Cross-entropy of `strong_logits` `[B, C]` with the labels that `weak_logits` are at least `confidence` sure of.

    Averaged over the whole batch. The labels are constants.
    """
    sure, labels = weak_logits.detach().float().softmax(1).max(1)
    losses = functional.cross_entropy(strong_logits.float(), labels, reduction="none")
    return (losses * (sure >= confidence)).mean()
