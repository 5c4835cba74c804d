"""The network: convolutions that halve the image, the latent, and transposed convolutions that double it again.

Shapes: `B` batch, `C` channels, `H` height, `W` width, `Z` latent width; `h`, `w` the smallest sides.
"""

from math import prod

from torch import nn

from models.autoencoders.convolutional.config import ConvolutionalConfig
from models.autoencoding.autoencoder import FixedShapeAutoencoder
from models.layers.convolution import KERNEL, Downsampling, Upsampling


class ConvolutionalAutoencoder(FixedShapeAutoencoder):
    """z = f(x), x' = sigmoid(g(z)), for images in [0, 1] with any number of channels and of any size.

    Source: Masci et al. 2011, with strides in place of pooling (Springenberg et al. 2015).
    """

    def __init__(self, config: ConvolutionalConfig) -> None:
        super().__init__()
        self.input_shape = config.input_shape
        sides = [(config.input_shape[1], config.input_shape[2])]
        for _ in config.channels:
            height, width = sides[-1]
            sides.append(((height + 1) // 2, (width + 1) // 2))
        smallest = (config.channels[-1], *sides[-1])  # (C, h, w)
        if config.latent_width:
            self.latent_shape: tuple[int, ...] = (config.latent_width,)
            to_latent: nn.Module = nn.Sequential(
                nn.Flatten(),
                nn.Linear(prod(smallest), config.hidden_width),
                nn.GELU(),
                nn.Linear(config.hidden_width, config.latent_width),
            )
            from_latent: nn.Module = nn.Sequential(
                nn.Linear(config.latent_width, config.hidden_width),
                nn.GELU(),
                nn.Linear(config.hidden_width, prod(smallest)),
                nn.Unflatten(1, smallest),
            )
        else:
            self.latent_shape = (config.latent_channels, *sides[-1])
            to_latent = nn.Conv2d(config.channels[-1], config.latent_channels, 1)
            from_latent = nn.Conv2d(config.latent_channels, config.channels[-1], KERNEL, padding=1)
        channels = (config.input_shape[0], *config.channels)
        self.encoder = nn.Sequential(Downsampling(channels, config.n_blocks), to_latent)
        self.decoder = nn.Sequential(
            from_latent, Upsampling(channels[::-1], sides[-2::-1], config.n_blocks), nn.Sigmoid()
        )
