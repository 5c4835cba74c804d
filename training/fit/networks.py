"""The families that can be fitted to a user's own items: the sizes of their networks, and what these minimise.

Shapes: `B` items, `...` the shape of an item: a row, a window of a series or a picture.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import torch
from torch import Tensor

from models.autoencoders.adversarial.config import AdversarialConfig
from models.autoencoders.adversarial.model import AdversarialAutoencoder
from models.autoencoders.adversarial.objective import discrimination, regularisation
from models.autoencoders.convolutional.config import ConvolutionalConfig
from models.autoencoders.deep_belief.config import DeepBeliefConfig
from models.autoencoders.deep_belief.model import DeepBeliefNetwork, draw_bernoulli
from models.autoencoders.deep_belief.objective import contrastive_divergence
from models.autoencoders.denoising.config import DenoisingConfig
from models.autoencoders.recurrent.config import RecurrentConfig
from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoders.variational.config import VariationalConfig
from models.autoencoders.variational.model import VariationalAutoencoder
from models.autoencoders.variational.objective import elbo
from models.autoencoding.autoencoder import Autoencoder
from models.catalogue import family
from models.family import FamilyConfig, FamilySpec
from models.objectives import squared_error
from training.errors import DataError

NOISE = 0.1
"""Standard deviation of the noise in the items that a model restores."""
MIN_WIDTH, MAX_WIDTH, MAX_LATENT_WIDTH = 32, 256, 32
CHANNELS, MIN_PICTURE_SIDE = (16, 32, 64), 4
"""Channels after each halving of a picture, and the pixels of the shorter side that halvings leave at least."""
RECURRENT_WIDTH = 64
N_PRETRAINING_STEPS, PRETRAINING_BATCH = 500, 100
"""Steps of contrastive divergence for each machine of a deep belief network, and the items of a step."""
BINARY_RATE, GAUSSIAN_RATE = 0.05, 0.002
"""Learning rates of machines whose hidden units are binary, and of those whose units are Gaussian."""

Shape = tuple[int, ...]
Loss = Callable[[Any, Tensor, torch.Generator], Tensor]
"""Returns the loss of a model on items `[B, ...]`, a scalar."""
Pretrain = Callable[[Any, Tensor, torch.Generator, float], None]
"""Trains a model in place on all items `[N, ...]` before the loss is minimised, until a time (`time.monotonic`)."""


@dataclass(frozen=True)
class Network:
    """A family with the sizes for a user's items.

    Attributes:
        spec: the family.
        config: the sizes.
        loss: what the training minimises.
        pretrain: what comes before; None for families that need nothing.
        is_small: whether its layers are so small that torch is faster with one thread than with several.
    """

    spec: FamilySpec[Any]
    config: FamilyConfig
    loss: Loss
    pretrain: Pretrain | None = None
    is_small: bool = True

    def new_model(self) -> Autoencoder:
        """Return a model with random weights, drawn with torch's own generator."""
        return cast("Autoencoder", self.spec.new_model(self.config))


def network_for(shape: Shape, name: str | None = None) -> Network:
    """Return the network for items of a shape: `(E,)` of rows, `(T, E)` of windows, `(C, H, W)` of pictures.

    Args:
        shape: the shape.
        name: name of the family; None for the one that suits such items.

    Raises:
        DataError: the family is for other items.
    """
    choices = _CHOICES[len(shape)]
    name = name or next(iter(choices))
    if name not in choices:
        raise DataError(f"--family is {name}, which is not for {_ITEMS[len(shape)]}; these have {', '.join(choices)}")
    return choices[name](shape)


def _denoising(shape: Shape) -> Network:
    output = "sigmoid" if _is_picture(shape) else "linear"
    config = DenoisingConfig(
        input_shape=shape, hidden_widths=_hidden(shape), latent_width=_latent(shape), output=output
    )
    return Network(family("autoencoders/denoising"), config, _restoration)


def _vanilla(shape: Shape) -> Network:
    output = "sigmoid" if _is_picture(shape) else "linear"
    config = VanillaConfig(input_shape=shape, hidden_widths=_hidden(shape), latent_width=_latent(shape), output=output)
    return Network(family("autoencoders/vanilla"), config, _reconstruction)


def _variational(shape: Shape) -> Network:
    likelihood = "bernoulli" if _is_picture(shape) else "gaussian"
    config = VariationalConfig(
        input_shape=shape, hidden_widths=_hidden(shape), latent_width=_latent(shape), likelihood=likelihood
    )
    return Network(family("autoencoders/variational"), config, _bound, _narrow_likelihood)


def _adversarial(shape: Shape) -> Network:
    config = AdversarialConfig(
        input_shape=shape,
        hidden_widths=_hidden(shape),
        latent_width=_latent(shape),
        discriminator_widths=_hidden(shape),
        output="sigmoid" if _is_picture(shape) else "linear",
    )
    return Network(family("autoencoders/adversarial"), config, _reconstruction_and_discrimination)


def _recurrent(shape: Shape) -> Network:
    config = RecurrentConfig(
        cell="gru",
        n_channels=shape[1],
        length=shape[0],
        max_length=shape[0],
        hidden_width=RECURRENT_WIDTH,
        n_layers=1,
        latent_width=_latent(shape),
    )
    return Network(family("autoencoders/recurrent"), config, _recurrent_reconstruction)


def _convolutional(shape: Shape) -> Network:
    n_halvings = max(1, min(len(CHANNELS), int(math.log2(min(shape[1:]) / MIN_PICTURE_SIDE))))
    config = ConvolutionalConfig(
        input_shape=shape, channels=CHANNELS[:n_halvings], latent_width=MAX_LATENT_WIDTH, hidden_width=MAX_WIDTH
    )
    return Network(family("autoencoders/convolutional"), config, _restoration, is_small=False)


def _deep_belief(shape: Shape) -> Network:
    config = DeepBeliefConfig(
        input_shape=shape, hidden_widths=_hidden(shape), latent_width=_latent(shape), n_chains=PRETRAINING_BATCH
    )
    return Network(family("autoencoders/deep_belief"), config, _reconstruction, _pretrain_machines)


_ROWS = {"denoising": _denoising, "variational": _variational, "vanilla": _vanilla, "adversarial": _adversarial}
_WINDOWS = {"denoising": _denoising, "recurrent": _recurrent, "vanilla": _vanilla, "adversarial": _adversarial}
_PICTURES = {"convolutional": _convolutional, **_ROWS, "deep_belief": _deep_belief}
_CHOICES = {1: _ROWS, 2: _WINDOWS, 3: _PICTURES}
"""The families by the number of dimensions of an item; the first is the default.

Windows have no variational one, since its own way to reconstruct knows no windows; rows and windows no deep belief
network, whose units are 0 or 1.
"""
_ITEMS = {1: "rows of a table", 2: "windows of a series", 3: "pictures"}


def _is_picture(shape: Shape) -> bool:
    return len(shape) == 3


def _hidden(shape: Shape) -> tuple[int, int]:
    width = max(MIN_WIDTH, min(4 * prod(shape), MAX_WIDTH))
    return width, width


def _latent(shape: Shape) -> int:
    return max(2, min((prod(shape) + 1) // 2, MAX_LATENT_WIDTH))


def _restoration(model: torch.nn.Module, items: Tensor, generator: torch.Generator) -> Tensor:
    noisy = items + NOISE * torch.randn(items.shape, generator=generator)
    return squared_error(model(noisy), items)


def _reconstruction(model: torch.nn.Module, items: Tensor, generator: torch.Generator) -> Tensor:
    return squared_error(model(items), items)


def _recurrent_reconstruction(model: torch.nn.Module, windows: Tensor, generator: torch.Generator) -> Tensor:
    lengths = torch.full((len(windows),), windows.shape[1])
    return squared_error(model(windows, lengths), windows)


def _bound(model: VariationalAutoencoder, items: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(1, len(items), model.latent_width, generator=generator)
    return -elbo(model, items, noise).mean()


def _narrow_likelihood(
    model: VariationalAutoencoder, items: Tensor, generator: torch.Generator, ends_at: float
) -> None:
    """Begin with a small variance of the likelihood: with a large one, latents that say nothing are the best at first.

    The training raises it to what it should be. See Lucas, Tucker, Grosse, Norouzi 2019, section 4.
    """
    if model.log_variance is not None:
        model.log_variance.data.fill_(2 * math.log(NOISE))


def _reconstruction_and_discrimination(
    model: AdversarialAutoencoder, items: Tensor, generator: torch.Generator
) -> Tensor:
    codes = model.encode(items)
    prior = torch.randn(codes.shape, generator=generator)
    return (
        squared_error(model.decode(codes), items)
        + discrimination(model.discriminator, codes, prior)
        + regularisation(model.discriminator, codes)
    )


def _pretrain_machines(model: DeepBeliefNetwork, items: Tensor, generator: torch.Generator, ends_at: float) -> None:
    """Train each machine by contrastive divergence on the layer below, and copy the weights into the autoencoder."""
    visible = items.flatten(1)
    for rbm in model.machines:
        rbm.visible_bias.data.copy_(visible.mean(0).clamp(0.02, 0.98).logit())
        rate = GAUSSIAN_RATE if rbm.gaussian_hidden else BINARY_RATE
        optimiser = torch.optim.SGD(rbm.parameters(), lr=rate, momentum=0.9, weight_decay=1e-4)
        states = draw_bernoulli(
            visible[torch.randint(len(visible), (PRETRAINING_BATCH,), generator=generator)], generator
        )
        for _ in range(N_PRETRAINING_STEPS):
            if time.monotonic() >= ends_at:
                break
            batch = visible[torch.randint(len(visible), (PRETRAINING_BATCH,), generator=generator)]
            loss, states = contrastive_divergence(rbm, draw_bernoulli(batch, generator), 1, generator)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        if rbm is model.machines[-1]:
            model.chains.copy_(states)
        with torch.no_grad():
            visible = rbm.hidden(visible)
    model.unroll()
