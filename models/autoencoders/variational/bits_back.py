"""Lossless coding of binary items by bits back with asymmetric numeral systems.

An item costs what the ELBO says: its pixels given a latent, and the latent given the prior, less the bits that drawing
the latent from the posterior consumes, which come back when it is decoded. Only the first item of a chain pays for its
latent in full, out of words that both sides know.

Source: Townsend, Bird, Barber 2019, Practical Lossless Compression with Latent Variables using Bits Back Coding.
"""

import hashlib
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.autoencoding.compression.entropy import (
    FRACTION,
    TOTAL,
    Coder,
    Integers,
    bernoulli_frequencies,
    normal_frequencies,
    normal_quantiles,
)
from models.autoencoding.compression.fixed_point import FixedPointNetwork
from models.autoencoding.latents import MAX_LOG_VARIANCE, MIN_LOG_VARIANCE

BUCKET_BITS = 10
"""A latent element is one of 2**BUCKET_BITS intervals of equal prior mass."""
_VARIANCE_STEP_BITS = 5
"""Log-variances are rounded to multiples of 2**-_VARIANCE_STEP_BITS."""


class BitsBack:
    """Codes items of `n_elements` zeros and ones with a latent of `latent_width`, and one of `n_classes` if not 0."""

    def __init__(self, encoder: nn.Sequential, decoder: nn.Sequential, *, latent_width: int, n_classes: int) -> None:
        self._encoder, self._decoder = FixedPointNetwork(encoder), FixedPointNetwork(decoder)
        self._latent_width, self._n_classes = latent_width, n_classes
        self._uniform = np.full((latent_width, 2**BUCKET_BITS), TOTAL >> BUCKET_BITS, dtype=np.int64)

    def pack(self, items: Tensor, classes: Tensor | None) -> NDArray[np.uint32]:
        """The payload of zeros and ones `[n, X]`; `classes` `[n]` where there are any.

        Its first word counts the known words that were never touched and are left out.
        """
        known = _known_words(self._latent_width)
        coder = Coder(known)
        for i, item in enumerate(items.numpy().astype(np.int64)):
            place = None if classes is None else int(classes[i])
            buckets = coder.pop(self._posterior(item, place))
            coder.push_bits(item, self._likelihood(buckets, place))
            coder.push(buckets, self._uniform)
            if place is not None:
                coder.push_alike(np.array([place]), self._class_frequencies())
        words = coder.words()
        n_same = int(np.cumprod(words[: len(known)] == known[: len(words)]).sum())
        return np.concatenate([np.array([n_same], dtype=np.uint32), words[n_same:]])

    def unpack(self, words: NDArray[np.uint32], n_items: int) -> Tensor | None:
        """The items, `[n_items, X]`; None where the payload is none of `pack`'s."""
        known = _known_words(self._latent_width)
        if len(words) == 0 or words[0] > len(known):
            return None
        stack = np.concatenate([known[: words[0]], words[1:]])
        if len(stack) == 0 or stack[-1] == 0:
            return None
        coder = Coder(stack)
        items = []
        for _ in range(n_items):
            place = int(coder.pop_alike(1, self._class_frequencies())[0]) if self._n_classes else None
            buckets = coder.pop(self._uniform)
            item = coder.pop_bits(self._likelihood(buckets, place))
            coder.push(buckets, self._posterior(item, place))
            items.append(item)
        if not np.array_equal(coder.words(), known):
            return None
        return torch.from_numpy(np.stack(items[::-1])).float()

    def _posterior(self, item: Integers, place: int | None) -> Integers:
        """Frequencies of the buckets, `[Z, 2**BUCKET_BITS]`."""
        outputs = self._encoder(self._input(item << FRACTION, place))[0].numpy().astype(np.int64)
        means, log_variances = outputs[: self._latent_width], outputs[self._latent_width :]
        table = _inverse_deviations()
        step = 1 << (FRACTION - _VARIANCE_STEP_BITS)
        places = np.clip(
            (log_variances + step // 2) // step - (MIN_LOG_VARIANCE << _VARIANCE_STEP_BITS), 0, len(table) - 1
        )
        return normal_frequencies(_edges(), means, table[places])

    def _likelihood(self, buckets: Integers, place: int | None) -> Integers:
        """Frequencies of ones, `[X]`."""
        logits = self._decoder(self._input(_centres()[buckets], place))[0]
        return bernoulli_frequencies(logits.numpy().astype(np.int64))

    def _input(self, values: Integers, place: int | None) -> Tensor:
        row = np.zeros((1, len(values) + self._n_classes))
        row[0, : len(values)] = values
        if place is not None:
            row[0, len(values) + place] = 1 << FRACTION
        return torch.from_numpy(row)

    def _class_frequencies(self) -> Integers:
        share = TOTAL // self._n_classes
        return np.array([*[share] * (self._n_classes - 1), TOTAL - share * (self._n_classes - 1)], dtype=np.int64)


def _known_words(latent_width: int) -> NDArray[np.uint32]:
    """More random words than the first latent can consume, the same everywhere."""
    n_words = latent_width * BUCKET_BITS // 32 + 4
    digests = b"".join(hashlib.sha256(b"manifold %d" % i).digest() for i in range(n_words // 8 + 1))
    words = np.frombuffer(digests, dtype="<u4")[:n_words].astype(np.uint32)
    words[-1] |= 1  # the coder's last word is never zero
    return words


@cache
def _edges() -> Integers:
    """Fixed-point ends of the inner buckets: `[2**BUCKET_BITS - 1]`."""
    return normal_quantiles(np.arange(1, 2**BUCKET_BITS, dtype=np.int64) * (TOTAL >> BUCKET_BITS))


@cache
def _centres() -> Integers:
    """Fixed-point middles, by mass, of the buckets: `[2**BUCKET_BITS]`."""
    mass = TOTAL >> BUCKET_BITS
    return normal_quantiles(np.arange(2**BUCKET_BITS, dtype=np.int64) * mass + mass // 2)


@cache
def _inverse_deviations() -> Integers:
    """Fixed-point exp(-v / 2) at every step of the log-variance v."""
    with localcontext() as context:
        context.prec = 40
        steps = range(MIN_LOG_VARIANCE << _VARIANCE_STEP_BITS, (MAX_LOG_VARIANCE << _VARIANCE_STEP_BITS) + 1)
        values = [int((-Decimal(n) / (2 << _VARIANCE_STEP_BITS)).exp() * (1 << FRACTION)) for n in steps]
    return np.array(values, dtype=np.int64)
