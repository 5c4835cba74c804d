"""The losses of the adversarial autoencoder.

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
    """Return the discriminator's loss: its cross-entropy at telling draws from the `prior` and `codes` apart.

    Both are `[B, Z]`. The codes count as constants, so that only the discriminator is trained. The loss is a scalar in
    nats; that of a discriminator that guesses is log 2.
    """
    real, fake = discriminator(prior), discriminator(codes.detach())
    return 0.5 * (
        functional.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        + functional.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    )


def regularisation(discriminator: nn.Module, codes: Tensor) -> Tensor:
    """Return the encoder's loss: the cross-entropy of the discriminator if `codes` were draws from the prior.

    `codes` are `[B, Z]`. The weights of the discriminator count as constants, so that only the encoder is trained. The
    loss is a scalar in nats.
    """
    frozen = {name: tensor.detach() for name, tensor in discriminator.state_dict(keep_vars=True).items()}
    logits: Tensor = functional_call(discriminator, frozen, (codes,))
    return functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def consistency(weak_logits: Tensor, strong_logits: Tensor, confidence: float) -> Tensor:
    """Return the cross-entropy of items under strong augmentation with the classes predicted under weak augmentation.

    Items whose class was predicted with a probability below `confidence` count as 0 in the mean over the batch. The
    predicted classes are constants. Both logits are `[B, C]`; the loss is a scalar in nats.
    """
    probabilities, labels = weak_logits.detach().float().softmax(1).max(1)
    losses = functional.cross_entropy(strong_logits.float(), labels, reduction="none")
    return (losses * (probabilities >= confidence)).mean()
