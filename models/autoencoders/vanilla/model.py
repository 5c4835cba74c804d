"""The network: fully connected layers that narrow to the latent and widen again.

Shapes: `B` batch, `X` elements of an item, `Z` latent width.
"""

from math import inf, prod

from torch import nn

from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoding.autoencoder import FixedShapeAutoencoder
from models.layers.feedforward import FeedForward


class VanillaAutoencoder(FixedShapeAutoencoder):
    """z = f(x), x' = sigmoid(g(z)) for items in [0, 1], or g(z). The widths of g are those of f in reverse order.

    Source: Hinton and Salakhutdinov 2006, figure 1, without the pretraining, which the deep belief family has.
    """

    def __init__(self, config: VanillaConfig) -> None:
        super().__init__()
        self.input_shape = config.input_shape
        self.latent_shape = (config.latent_width,)
        widths = (prod(config.input_shape), *config.hidden_widths, config.latent_width)
        self.encoder = nn.Sequential(
            nn.Flatten(),  # (B, X)
            FeedForward(widths, config.activation),  # (B, Z)
        )
        is_linear = config.output == "linear"
        self.value_range = (-inf, inf) if is_linear else (0.0, 1.0)
        self.decoder = nn.Sequential(
            FeedForward(widths[::-1], config.activation),  # (B, X)
            nn.Identity() if is_linear else nn.Sigmoid(),
            nn.Unflatten(1, config.input_shape),
        )
