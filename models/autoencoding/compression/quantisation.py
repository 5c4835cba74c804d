"""Lossy coding of latents: their elements are quantised uniformly and encoded as draws from a normal distribution."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.autoencoding.compression.entropy import FRACTION_BITS, TOTAL, Coder, Integers, normal_frequencies

MIN_BITS, MAX_BITS = 1, 16
"""Limits of the number of bits into which an element is quantised."""
MAX_DEVIATIONS = 6
"""Distance from the mean to the outermost quantisation levels, in standard deviations. Further latents are clipped."""
MAX_EXACT_BITS = 14
"""Largest number of bits with which the edges between levels are integers in fixed point.

Finer levels share the frequency of a level of this size equally.
"""
MIN_DEVIATION = 1e-6
"""Least standard deviation of the channel of a picture's latent, for channels that are constant."""


class LatentScale(Protocol):
    """What latents are normalised by before they are quantised, such as a calibration."""

    @property
    def latent_mean(self) -> Tensor:
        """Mean of each element of a latent, `[*latent_shape]`."""

    @property
    def latent_deviation(self) -> Tensor:
        """Standard deviation of each element, `[*latent_shape]`."""


@dataclass(frozen=True, slots=True)
class MeasuredScale:
    """The mean and the standard deviation of each channel of given latents, as part of what is packed.

    Attributes:
        latent_mean: the mean of each channel of each latent, `[B, Z, 1, 1]`.
        latent_deviation: the standard deviation, likewise.
    """

    latent_mean: Tensor
    latent_deviation: Tensor

    @classmethod
    def of(cls, latents: Tensor) -> "MeasuredScale":
        """Return the scale of latents `[B, Z, h, w]`."""
        deviation, mean = torch.std_mean(latents, (2, 3), correction=0, keepdim=True)
        return cls(mean, deviation.clamp(min=MIN_DEVIATION))

    @classmethod
    def from_words(cls, words: NDArray[np.uint32], n_items: int) -> "MeasuredScale | None":
        """Return the scale whose `words` these are, of so many latents; None if there is no such scale."""
        numbers = torch.from_numpy(words.view(np.float32).astype(np.float32)).view(2, n_items, -1, 1, 1)
        if not numbers.isfinite().all() or not (numbers[1] > 0).all():
            return None
        return cls(numbers[0], numbers[1])

    def words(self) -> NDArray[np.uint32]:
        """Return the numbers in float32, whose bits are words: all means, then all deviations."""
        numbers = torch.cat([self.latent_mean.flatten(), self.latent_deviation.flatten()]).float()
        return numbers.numpy().view(np.uint32)

    def expanded(self, height: int, width: int) -> "MeasuredScale":
        """Return the scale of every element of latents with such sides, `[B, Z, h, w]`."""
        n_items, n_channels, _, _ = self.latent_mean.shape
        shape = (n_items, n_channels, height, width)
        return MeasuredScale(self.latent_mean.expand(shape), self.latent_deviation.expand(shape))


def pack_measured(latents: Tensor, bits: int) -> NDArray[np.uint32]:
    """Return the payload of latents `[B, Z, h, w]`, normalised by their own scale, which comes first."""
    scale = MeasuredScale.of(latents)
    return np.concatenate([scale.words(), pack(latents, scale, bits)])


def unpack_measured(words: NDArray[np.uint32], bits: int, shape: tuple[int, int, int, int]) -> Tensor | None:
    """Return the latents of a payload, `[B, Z, h, w]`; None if `pack_measured` cannot have made it."""
    n_items, n_channels, height, width = shape
    n_scale = 2 * n_items * n_channels
    scale = MeasuredScale.from_words(words[:n_scale], n_items) if len(words) >= n_scale else None
    if scale is None:
        return None
    latents = unpack(words[n_scale:], scale.expanded(height, width), bits, 1)
    return None if latents is None else latents[0]


def pack(latents: Tensor, calibration: LatentScale, bits: int) -> NDArray[np.uint32]:
    """Return the payload of latents `[n, *latent_shape]`, each element quantised to 2**`bits` levels."""
    scaled = (latents - calibration.latent_mean) / calibration.latent_deviation
    levels = ((scaled + MAX_DEVIATIONS) * (2**bits / (2 * MAX_DEVIATIONS))).floor().clamp(0, 2**bits - 1)
    coder = Coder()
    coder.push_iid(levels.flatten().numpy().astype(np.int64), level_frequencies(bits))
    return coder.words()


def unpack(words: NDArray[np.uint32], calibration: LatentScale, bits: int, n_items: int) -> Tensor | None:
    """Return the latents of a payload, each element in the middle of its level; None if `pack` cannot have made it."""
    if len(words) and words[-1] == 0:
        return None
    shape = (n_items, *calibration.latent_mean.shape)
    coder = Coder(words)
    levels = coder.pop_iid(int(np.prod(shape)), level_frequencies(bits))
    if len(coder.words()):
        return None
    scaled = (torch.from_numpy(levels).float() + 0.5) * (2 * MAX_DEVIATIONS / 2**bits) - MAX_DEVIATIONS
    latents: Tensor = scaled.view(shape) * calibration.latent_deviation + calibration.latent_mean
    return latents


def level_frequencies(bits: int) -> Integers:
    """Return the frequencies of the 2**`bits` levels under the standard normal distribution; they sum to `TOTAL`."""
    n_levels = 2 ** min(bits, MAX_EXACT_BITS)
    level_width = (2 * MAX_DEVIATIONS << FRACTION_BITS) // n_levels
    edges = np.arange(1, n_levels, dtype=np.int64) * level_width - (MAX_DEVIATIONS << FRACTION_BITS)
    mean, inverse_deviation = (np.array([number << FRACTION_BITS], dtype=np.int64) for number in (0, 1))
    frequencies: Integers = normal_frequencies(edges, mean, inverse_deviation)[0]
    if bits > MAX_EXACT_BITS:
        cumulative = np.repeat(frequencies - 1, 2**bits // n_levels).cumsum()
        frequencies = np.diff(cumulative * (TOTAL - 2**bits) // cumulative[-1], prepend=0) + 1
    return frequencies
