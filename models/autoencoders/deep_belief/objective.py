"""What the deep belief network minimises: each machine's contrastive divergence, then the unrolled network's error."""

import torch
from torch import Tensor

from models.autoencoders.deep_belief.model import Noise, Rbm
from models.objectives import squared_error

__all__ = ["contrastive_divergence", "squared_error"]


def contrastive_divergence(
    rbm: Rbm, visible: Tensor, n_steps: int, generator: torch.Generator, chains: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """A scalar whose gradient is that of CD-k, or of persistent CD where `chains` `[M, V]` go on; and where they are.

    `visible` is `[B, V]`, of zeros and ones. The scalar is the mean free energy of the data less that of the
    fantasies, which are constants in it: its value means nothing.

    Source: Hinton 2002, equation 5, with k steps; Tieleman 2008 for persistent chains.
    """
    with torch.no_grad():
        fantasies = rbm.gibbs(visible if chains is None else chains, n_steps, Noise(generator))
    return rbm.free_energy(visible).mean() - rbm.free_energy(fantasies).mean(), fantasies
