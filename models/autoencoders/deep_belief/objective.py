"""The losses of the deep belief network: contrastive divergence of a machine, and the error of the whole network."""

import torch
from torch import Tensor

from models.autoencoders.deep_belief.model import Rbm
from models.objectives import squared_error

__all__ = ["contrastive_divergence", "squared_error"]


def contrastive_divergence(
    rbm: Rbm, visible: Tensor, n_steps: int, generator: torch.Generator, chains: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return a scalar whose gradient is that of contrastive divergence, and the states after `n_steps` Gibbs steps.

    The steps start from the data `visible` `[B, V]`, which are 0 or 1, or from persistent `chains` `[M, V]`. The scalar
    is the mean free energy of the data minus that of the final states, which count as constants; its value has no
    meaning.

    Source: Hinton 2002, equation 5, with k steps; Tieleman 2008 for persistent chains.
    """
    with torch.no_grad():
        states = rbm.gibbs(visible if chains is None else chains, n_steps, generator)
    return rbm.free_energy(visible).mean() - rbm.free_energy(states).mean(), states
