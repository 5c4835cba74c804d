"""The network: residual blocks at sizes that are halved and doubled, with attention at the smallest size.

Shapes: `B` batch, `C` channels of a picture, `H` height, `W` width of a picture, `Z` channels of a latent; `h`, `w` the
sides of a latent.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from models.autoencoders.kl.blocks import EPSILON, Activation, GroupNorm, Middle, ResidualBlock
from models.autoencoders.kl.config import KlConfig
from models.autoencoders.kl.strips import (
    STRIP_POSITIONS,
    Convolved,
    Doubled,
    Halved,
    Maps,
    Normalised,
    Residual,
    StoredMaps,
    join,
    lines_of,
)
from models.autoencoding.latents import DiagonalGaussian
from models.autoencoding.pictures import MAX_PIXELS, PictureAutoencoder
from models.layers.activations import ACTIVATIONS
from models.layers.convolution import KERNEL, Doubling
from models.ops.devices import to_cpu

MIN_LOG_VARIANCE, MAX_LOG_VARIANCE = -30.0, 20.0
"""Limits of the logarithm of a variance, those of the library diffusers."""
LIVE_MAPS = 6
"""Number of maps, as wide as those that the decoder doubles to the size of the picture, that exist at the same time."""
FLOAT_BYTES = 4
LIVE_MIDDLE_MAPS = 8
"""Number of maps that exist at the same time at the smallest size, where they attend to each other."""
STRIP_WITH_SURROUNDINGS = 1.25
"""Positions that are computed for a strip, relative to those of the strip."""


class Size(nn.Module):
    """The layers at one size: residual blocks, and the change to the next size, if there is one."""

    def __init__(self, blocks: Sequence[ResidualBlock], resize: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.resize = resize or nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the maps of the next size."""
        output: Tensor = self.resize(self.blocks(maps))
        return output

    @property
    def convolution(self) -> nn.Conv2d | None:
        """The convolution that belongs to the change to the next size; None if there is no next size."""
        return cast("nn.Conv2d", self.resize[1]) if isinstance(self.resize, nn.Sequential) else None

    def blocks_in_strips(self, maps: Maps) -> StoredMaps:
        """Compute what the blocks make of the maps, and store it strip by strip."""
        for block in cast("Iterable[ResidualBlock]", self.blocks):
            maps = StoredMaps.compute(Residual(maps, block))
        return cast("StoredMaps", maps)


class Encoder(nn.Sequential):
    """The network from `[B, C, H, W]` in [-1, 1] to `[B, 2 Z, h, w]`."""

    def __init__(self, config: KlConfig) -> None:
        widths, activation = config.widths, ACTIVATIONS[config.activation]
        super().__init__()
        self.first = nn.Conv2d(config.n_channels, widths[0], KERNEL, padding=1)
        sizes = []
        for place, (n_in, n_out) in enumerate(pairwise((widths[0], *widths))):
            blocks = _blocks(n_in, n_out, config.n_layers, config.n_groups, activation)
            halving = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(n_out, n_out, KERNEL, stride=2))
            sizes.append(Size(list(blocks), halving if place < len(widths) - 1 else None))
        self.sizes = nn.Sequential(*sizes)
        self.middle = Middle(widths[-1], config.n_groups, activation, has_attention=config.has_attention)
        self.norm = GroupNorm(config.n_groups, widths[-1], EPSILON)
        self.activation = nn.SiLU(inplace=True)
        self.last = nn.Conv2d(widths[-1], 2 * config.n_latent_channels, KERNEL, padding=1)

    def in_strips(self, pictures: Tensor) -> Tensor:
        """Compute what `forward` does, in strips down to the smallest size."""
        maps: Maps = Convolved(lines_of(pictures), self.first)
        for size in cast("Iterable[Size]", self.sizes):
            maps = size.blocks_in_strips(maps)
            if size.convolution is not None:
                maps = StoredMaps.compute(Halved(maps, size.convolution))
        moments: Tensor = self.last(self.activation(self.norm(self.middle(join(maps)))))
        return moments


class Decoder(nn.Sequential):
    """The network from `[B, Z, h, w]` to `[B, C, H, W]`, about in [-1, 1]."""

    def __init__(self, config: KlConfig) -> None:
        widths, activation = config.widths[::-1], ACTIVATIONS[config.activation]
        super().__init__()
        self.first = nn.Conv2d(config.n_latent_channels, widths[0], KERNEL, padding=1)
        self.middle = Middle(widths[0], config.n_groups, activation, has_attention=config.has_attention)
        sizes = []
        for place, (n_in, n_out) in enumerate(pairwise((widths[0], *widths))):
            blocks = _blocks(n_in, n_out, config.n_layers + 1, config.n_groups, activation)
            sizes.append(Size(list(blocks), Doubling(n_out) if place < len(widths) - 1 else None))
        self.sizes = nn.Sequential(*sizes)
        self.norm = GroupNorm(config.n_groups, widths[-1], EPSILON)
        self.activation = nn.SiLU(inplace=True)
        self.last = nn.Conv2d(widths[-1], config.n_channels, KERNEL, padding=1)

    def in_strips(self, latents: Tensor) -> Tensor:
        """Compute what `forward` does, in strips from the smallest size on."""
        maps: Maps = lines_of(self.middle(self.first(latents)))
        for size in cast("Iterable[Size]", self.sizes):
            maps = size.blocks_in_strips(maps)
            if size.convolution is not None:
                maps = Convolved(Doubled(maps), size.convolution)
        return join(Convolved(Normalised(maps, self.norm, self.activation), self.last))


class KlAutoencoder(PictureAutoencoder):
    """q(z | x) = N(f(2 x - 1)), x' = (g(z) + 1) / 2, for pictures in [0, 1].

    The networks f and g take and give pictures in [-1, 1].

    Pictures of more than `max_whole_pixels` are computed in strips, with the same result.

    Source: Rombach et al. 2022, section 3.1 and appendix G; `AutoencoderKL` of diffusers.
    """

    encoder: Encoder
    decoder: Decoder
    max_pixels_at_once = int(STRIP_WITH_SURROUNDINGS * STRIP_POSITIONS)

    def __init__(self, config: KlConfig) -> None:
        super().__init__(
            n_channels=config.n_channels,
            n_latent_channels=config.n_latent_channels,
            scale=config.scale,
            max_pixels=MAX_PIXELS,
        )
        self.bytes_per_pixel = LIVE_MAPS * FLOAT_BYTES * max(config.widths[:2])
        self.kept_bytes_per_pixel = _kept_bytes_per_pixel(config.widths)
        self.max_whole_pixels = MAX_PIXELS
        n_moments = 2 * config.n_latent_channels
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.quant_conv = nn.Conv2d(n_moments, n_moments, 1) if config.has_quant_conv else nn.Identity()
        n_latents = config.n_latent_channels
        self.post_quant_conv = nn.Conv2d(n_latents, n_latents, 1) if config.has_post_quant_conv else nn.Identity()

    def posterior(self, pictures: Tensor) -> DiagonalGaussian:
        """Return q(z | x) of pictures in [0, 1], `[B, C, H, W]`: means and log-variances `[B, Z, h, w]` in float32."""
        is_whole = pictures.shape[2] * pictures.shape[3] <= self.max_whole_pixels
        network = self.encoder if is_whole else self.encoder.in_strips
        moments = self.quant_conv(network(pictures * 2 - 1))
        mean, log_variance = moments.float().chunk(2, dim=1)
        return DiagonalGaussian(mean, log_variance.clamp(MIN_LOG_VARIANCE, MAX_LOG_VARIANCE))

    def posterior_of(self, items: Sequence[Tensor]) -> DiagonalGaussian:
        """Return q(z | x) of pictures of one size, `[C, H, W]` each, on the CPU."""
        pictures = torch.stack(list(items))
        n_pixels = pictures.shape[2] * pictures.shape[3]
        parts = [self.posterior(part) for part in self.parts_of(pictures, n_pixels)]
        means = torch.cat([to_cpu(part.mean) for part in parts]).contiguous()
        return DiagonalGaussian(means, torch.cat([to_cpu(part.log_variance) for part in parts]).contiguous())

    @override
    def encode(self, pictures: Tensor) -> Tensor:
        return self.posterior(pictures).mean

    @override
    def decode(self, latents: Tensor) -> Tensor:
        is_whole = latents.shape[2] * latents.shape[3] * self.scale**2 <= self.max_whole_pixels
        network = self.decoder if is_whole else self.decoder.in_strips
        pictures: Tensor = network(self.post_quant_conv(latents))
        return pictures.add_(1).div_(2)

    @override
    def limit_memory(self, n_bytes: int) -> None:
        most = n_bytes // self.bytes_per_pixel
        self.max_whole_pixels = min(MAX_PIXELS, most)


def _kept_bytes_per_pixel(widths: Sequence[int]) -> int:
    """Return about the most memory that maps in strips take for each pixel of a picture, in bytes, beside the strips.

    It is that of the largest maps, which are stored, and that of the maps of the smallest size, which are computed as a
    whole.
    """
    stored = max(width / 4.0**size for size, width in enumerate(widths))
    middle = LIVE_MIDDLE_MAPS * widths[-1] / 4.0 ** (len(widths) - 1)
    return math.ceil(FLOAT_BYTES * (stored + middle))


def _blocks(n_in: int, n_out: int, n_blocks: int, n_groups: int, activation: Activation) -> Iterator[ResidualBlock]:
    """Yield the residual blocks of a size, of which the first changes the width."""
    for place in range(n_blocks):
        yield ResidualBlock(n_in if place == 0 else n_out, n_out, n_groups, activation)
