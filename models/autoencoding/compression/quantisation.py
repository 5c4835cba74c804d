"""Latents to symbols and back: uniform steps over a fixed number of deviations, coded as a normal distribution."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.autoencoding.calibration import Calibration
from models.autoencoding.compression.entropy import FRACTION, TOTAL, Coder, Integers, normal_frequencies

MIN_BITS, MAX_BITS = 1, 16


REACH = 6
"""Deviations on either side of the mean; latents beyond are cut to the outermost step."""


_EXACT_BITS = 14
"""The ends of so many steps are whole numbers in fixed point; finer ones share alike what such a step has."""


def pack(latents: Tensor, calibration: Calibration, bits: int) -> NDArray[np.uint32]:
    """The payload of latents `[n, *latent_shape]`: 2**`bits` steps an element."""
    scaled = (latents - calibration.latent_mean) / calibration.latent_deviation
    steps = ((scaled + REACH) * (2**bits / (2 * REACH))).floor().clamp(0, 2**bits - 1)
    coder = Coder()
    coder.push_alike(steps.flatten().numpy().astype(np.int64), _frequencies(bits))
    return coder.words()


def unpack(words: NDArray[np.uint32], calibration: Calibration, bits: int, n_items: int) -> Tensor | None:
    """The latents, each in the middle of its step; None where the payload is none of `pack`'s."""
    if len(words) and words[-1] == 0:
        return None
    shape = (n_items, *calibration.latent_mean.shape)
    coder = Coder(words)
    steps = coder.pop_alike(int(np.prod(shape)), _frequencies(bits))
    if len(coder.words()):
        return None
    scaled = (torch.from_numpy(steps).float() + 0.5) * (2 * REACH / 2**bits) - REACH
    latents: Tensor = scaled.view(shape) * calibration.latent_deviation + calibration.latent_mean
    return latents


def _frequencies(bits: int) -> Integers:
    n_steps = 2 ** min(bits, _EXACT_BITS)
    edges = np.arange(1, n_steps, dtype=np.int64) * ((2 * REACH << FRACTION) // n_steps) - (REACH << FRACTION)
    one = np.array([1 << FRACTION], dtype=np.int64)
    frequencies: Integers = normal_frequencies(edges, np.array([0], dtype=np.int64), one)[0]
    if bits > _EXACT_BITS:
        below = np.repeat(frequencies - 1, 2**bits // n_steps).cumsum()
        frequencies = np.diff(below * (TOTAL - 2**bits) // below[-1], prepend=0) + 1
    return frequencies
