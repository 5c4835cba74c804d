"""The network: residual blocks of three convolutions, at sizes that are halved and doubled.

Shapes: `B` batch, `C` channels of a picture, `D` width, `H` height, `W` width of a picture, `Z` channels of a latent;
`h`, `w` the sides of a latent.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.autoencoders.tiny.config import TinyConfig
from models.autoencoding.pictures import MAX_PIXELS, PictureAutoencoder
from models.autoencoding.tiles import Tiles
from models.layers.activations import ACTIVATIONS
from models.layers.convolution import KERNEL, Doubling

LATENT_LIMIT = 3.0
"""Limit that the decoder bends latents to: 3 tanh(z / 3)."""
TILE_PX = 1024
"""Pixels of a side of the parts in which larger pictures are computed."""
CONVOLUTIONS = 3
"""Number of convolutions of a block, each of which reads one position further."""
LIVE_MAPS = 5
"""Number of maps, as wide as the network and as large as the picture, that exist at the same time in a block."""
FLOAT_BYTES = 4


class TinyBlock(nn.Module):
    """relu(f(x) + x), where f is three convolutions that keep the shape."""

    def __init__(self, width: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(width, width, KERNEL, padding=1),
            activation(),
            nn.Conv2d(width, width, KERNEL, padding=1),
            activation(),
            nn.Conv2d(width, width, KERNEL, padding=1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Compute `[B, D, H, W]` from `[B, D, H, W]`."""
        output: Tensor = functional.relu_(self.conv(maps).add_(maps))
        return output


class TinyAutoencoder(PictureAutoencoder):
    """z = f(x), x' = g(3 tanh(z / 3)), for pictures in [0, 1].

    The library diffusers gives pictures in [-1, 1] to its networks of this kind, which first map them to [0, 1], and
    maps what they make back to [-1, 1]; both are the identity here.

    Source: O. Boer Bohan, TAESD, 2023, https://github.com/madebyollin/taesd; `AutoencoderTiny` of diffusers.
    """

    tiles: Tiles

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(
            n_channels=config.n_channels,
            n_latent_channels=config.n_latent_channels,
            scale=config.scale,
            max_pixels=MAX_PIXELS,
        )
        self.bytes_per_pixel = LIVE_MAPS * FLOAT_BYTES * max(config.encoder_width, config.decoder_width)
        self.encoder, self.decoder = _encoder(config), _decoder(config)
        self.use_tiles(Tiles(side=max(1, TILE_PX // config.scale), halo=-(-_reach_px(config) // config.scale) + 1))

    def use_tiles(self, tiles: Tiles) -> None:
        """Compute larger pictures than a tile in these tiles."""
        self.tiles = tiles
        self.max_pixels_at_once = self.max_whole_pixels = int((tiles.side + 2 * tiles.halo) * self.scale) ** 2

    @override
    def encode(self, pictures: Tensor) -> Tensor:
        return self.tiles.apply(self.encoder, pictures, n_in=self.scale, n_out=1)

    @override
    def decode(self, latents: Tensor) -> Tensor:
        bent = torch.tanh(latents / LATENT_LIMIT) * LATENT_LIMIT
        return self.tiles.apply(self.decoder, bent, n_in=1, n_out=self.scale)


def _reach_px(config: TinyConfig) -> int:
    """Return how many pixels away from a position there is anything that its output depends on, in either network."""
    reach_encoder, reach_decoder = config.scale, config.scale + 1
    for size, (n_encoder, n_decoder) in enumerate(
        zip(config.n_encoder_blocks, config.n_decoder_blocks[::-1], strict=True)
    ):
        step = 2**size  # pixels between two positions of the maps
        reach_encoder += max(1, step // 2) + CONVOLUTIONS * n_encoder * step
        reach_decoder += 2 * step + CONVOLUTIONS * n_decoder * step
    return max(reach_encoder, reach_decoder)


def _encoder(config: TinyConfig) -> nn.Sequential:
    """Return the network from `[B, C, H, W]` to `[B, Z, h, w]`, whose convolutions with a stride of 2 have no bias."""
    width, activation = config.encoder_width, ACTIVATIONS[config.activation]
    layers: list[nn.Module] = []
    for size, n_blocks in enumerate(config.n_encoder_blocks):
        if size == 0:
            layers.append(nn.Conv2d(config.n_channels, width, KERNEL, padding=1))
        else:
            layers.append(nn.Conv2d(width, width, KERNEL, stride=2, padding=1, bias=False))
        layers += [TinyBlock(width, activation) for _ in range(n_blocks)]
    return nn.Sequential(*layers, nn.Conv2d(width, config.n_latent_channels, KERNEL, padding=1))


def _decoder(config: TinyConfig) -> nn.Sequential:
    """Return the network, `[B, Z, h, w]` to `[B, C, H, W]`. Of the convolutions behind blocks, the last has a bias."""
    width, activation = config.decoder_width, ACTIVATIONS[config.activation]
    layers: list[nn.Module] = [nn.Conv2d(config.n_latent_channels, width, KERNEL, padding=1), activation()]
    for n_blocks in config.n_decoder_blocks[:-1]:
        layers += [TinyBlock(width, activation) for _ in range(n_blocks)]
        layers.append(Doubling(width, bias=False))
    layers += [TinyBlock(width, activation) for _ in range(config.n_decoder_blocks[-1])]
    return nn.Sequential(*layers, nn.Conv2d(width, config.n_channels, KERNEL, padding=1))
