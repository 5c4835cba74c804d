"""Latents to symbols and back: uniform steps over a fixed number of deviations, coded as a normal distribution."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.calibration import Calibration
from models.layers.entropy import FRACTION, Coder, Integers, normal_frequencies

MIN_BITS, MAX_BITS = 1, 16
REACH = 6
"""Deviations on either side of the mean; latents beyond are cut to the outermost step."""


def pack(latents: Tensor, calibration: Calibration, bits: int) -> NDArray[np.uint32]:
    """The payload of latents `[n, *latent_shape]`: 2**`bits` steps an element."""
    scaled = (latents - calibration.latent_mean) / calibration.latent_deviation
    steps = ((scaled + REACH) * (2**bits / (2 * REACH))).floor().clamp(0, 2**bits - 1)
    coder = Coder()
    coder.push_alike(steps.flatten().numpy().astype(np.int64), _frequencies(bits))
    return coder.words()


def unpack(words: NDArray[np.uint32], calibration: Calibration, bits: int, n_items: int) -> Tensor | None:
    """The latents, each in the middle of its step; None where words are left over or missing."""
    shape = (n_items, *calibration.latent_mean.shape)
    coder = Coder(words)
    steps = coder.pop_alike(int(np.prod(shape)), _frequencies(bits))
    if len(coder.words()):
        return None
    scaled = (torch.from_numpy(steps).float() + 0.5) * (2 * REACH / 2**bits) - REACH
    latents: Tensor = scaled.view(shape) * calibration.latent_deviation + calibration.latent_mean
    return latents


def _frequencies(bits: int) -> Integers:
    width = (2 * REACH << FRACTION) >> bits
    edges = np.arange(1, 2**bits, dtype=np.int64) * width - (REACH << FRACTION)
    one = np.array([1 << FRACTION], dtype=np.int64)
    (row,) = normal_frequencies(edges, np.array([0], dtype=np.int64), one)
    frequencies: Integers = row
    return frequencies
