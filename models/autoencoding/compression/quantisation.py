"""Lossy coding of latents: their elements are quantised uniformly and encoded as draws from a normal distribution."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.autoencoding.calibration import Calibration
from models.autoencoding.compression.entropy import FRACTION_BITS, TOTAL, Coder, Integers, normal_frequencies

MIN_BITS, MAX_BITS = 1, 16
"""Limits of the number of bits into which an element is quantised."""
MAX_DEVIATIONS = 6
"""Distance from the mean to the outermost quantisation levels, in standard deviations. Further latents are clipped."""
MAX_EXACT_BITS = 14
"""Largest number of bits with which the edges between levels are integers in fixed point.

Finer levels share the frequency of a level of this size equally.
"""


def pack(latents: Tensor, calibration: Calibration, bits: int) -> NDArray[np.uint32]:
    """Return the payload of latents `[n, *latent_shape]`, each element quantised to 2**`bits` levels."""
    scaled = (latents - calibration.latent_mean) / calibration.latent_deviation
    levels = ((scaled + MAX_DEVIATIONS) * (2**bits / (2 * MAX_DEVIATIONS))).floor().clamp(0, 2**bits - 1)
    coder = Coder()
    coder.push_iid(levels.flatten().numpy().astype(np.int64), level_frequencies(bits))
    return coder.words()


def unpack(words: NDArray[np.uint32], calibration: Calibration, bits: int, n_items: int) -> Tensor | None:
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
