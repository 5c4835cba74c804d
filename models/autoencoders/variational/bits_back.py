"""Lossless coding of binary items by bits back with asymmetric numeral systems.

An item costs its negative ELBO in bits: its elements given a latent, and the latent under the prior, minus the bits
that drawing the latent from the posterior consumes and decoding gives back. The draw for the first item of a stream
consumes words that the coder and the decoder both know, so that only this item pays for its latent in full.

Source: Townsend, Bird, Barber 2019, Practical Lossless Compression with Latent Variables using Bits Back Coding.

Shapes: `X` elements of an item, `Z` number of continuous elements of a latent.
"""

import hashlib
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.autoencoding.compression.entropy import (
    BERNOULLI,
    FRACTION_BITS,
    TOTAL,
    Coder,
    Integers,
    bernoulli_frequencies,
    normal_frequencies,
    normal_quantiles,
)
from models.autoencoding.compression.fixed_point import FixedPointNetwork
from models.autoencoding.latents import MAX_LOG_VARIANCE, MIN_LOG_VARIANCE
from models.errors import InvalidItems, Problem

BUCKET_BITS = 10
"""Logarithm to the base 2 of the number of buckets, of equal prior mass, into which a latent element is quantised."""
VARIANCE_STEP_BITS = 5
"""Log-variances are rounded to multiples of 2**-`VARIANCE_STEP_BITS`."""


class BitsBackCoder:
    """A lossless coder of items whose elements are 0 or 1; implements `LosslessCoder`."""

    def __init__(
        self,
        encoder: nn.Sequential,
        decoder: nn.Sequential,
        *,
        input_shape: tuple[int, ...],
        latent_width: int,
        n_classes: int,
        class_logits_of: Callable[[Sequence[Tensor]], Tensor],
    ) -> None:
        """Make the integer twins of the networks.

        Args:
            encoder: maps a flat item, and a one-hot class if there are any, to means and log-variances.
            decoder: maps a latent, and a one-hot class if there are any, to logits of the elements.
            input_shape: shape of an item.
            latent_width: number of continuous elements of a latent.
            n_classes: number of classes; 0 for models without labels.
            class_logits_of: maps items to the logits of their classes, `[n, n_classes]`.

        Raises:
            CheckpointError: the networks cannot be computed in integers.
        """
        self._encoder, self._decoder = FixedPointNetwork(encoder), FixedPointNetwork(decoder)
        self._input_shape, self._latent_width = input_shape, latent_width
        self._n_classes, self._class_logits_of = n_classes, class_logits_of
        self._uniform = np.full((latent_width, 2**BUCKET_BITS), TOTAL >> BUCKET_BITS, dtype=np.int64)
        self._class_frequencies = np.full(n_classes, TOTAL // max(1, n_classes), dtype=np.int64)
        self._class_frequencies[-1:] += TOTAL - self._class_frequencies.sum()

    def pack(self, items: Sequence[Tensor]) -> NDArray[np.uint32]:
        """Return the words of items of the shape `input_shape`.

        The first word is the number of initial words that are unchanged and left out.

        Raises:
            InvalidItems: an element is neither 0 nor 1.
        """
        for i, item in enumerate(items):
            if len(others := item[(item != 0) & (item != 1)]):
                detail = f"the value {others[0]:g} is neither 0 nor 1; lossless coding needs binary items"
                raise InvalidItems(Problem(detail, i))
        classes = self._class_logits_of(items).argmax(1) if self._n_classes else None
        initial_words = _initial_words(self._latent_width)
        coder = Coder(initial_words)
        for i, item in enumerate(items):
            class_index = None if classes is None else int(classes[i])
            elements = item.flatten().numpy().astype(np.int64)
            buckets = coder.pop(self._posterior(elements, class_index))
            coder.push(elements, self._likelihood(buckets, class_index), BERNOULLI)
            coder.push(buckets, self._uniform)
            if class_index is not None:
                coder.push_iid(np.array([class_index]), self._class_frequencies)
        words = coder.words()
        is_unchanged = words[: len(initial_words)] == initial_words[: len(words)]
        n_unchanged = int(np.cumprod(is_unchanged).sum())
        return np.concatenate([np.array([n_unchanged], dtype=np.uint32), words[n_unchanged:]])

    def unpack(self, words: NDArray[np.uint32], n_items: int) -> list[Tensor] | None:
        """Return the items, or None if `pack` cannot have made the words."""
        initial_words = _initial_words(self._latent_width)
        if len(words) == 0 or words[0] > len(initial_words):
            return None
        stack = np.concatenate([initial_words[: words[0]], words[1:]])
        if len(stack) == 0 or stack[-1] == 0:
            return None
        coder = Coder(stack)
        items = []
        for _ in range(n_items):
            class_index = int(coder.pop_iid(1, self._class_frequencies)[0]) if self._n_classes else None
            buckets = coder.pop(self._uniform)
            item = coder.pop(self._likelihood(buckets, class_index), BERNOULLI)
            coder.push(buckets, self._posterior(item, class_index))
            items.append(item)
        if not np.array_equal(coder.words(), initial_words):
            return None
        return [torch.from_numpy(item).float().view(self._input_shape) for item in reversed(items)]

    def _posterior(self, item: Integers, class_index: int | None) -> Integers:
        """Return the frequencies of the buckets given an item `[X]`: `[Z, 2**BUCKET_BITS]`."""
        outputs = self._encoder(self._network_input(item << FRACTION_BITS, class_index))[0].numpy().astype(np.int64)
        means, log_variances = outputs[: self._latent_width], outputs[self._latent_width :]
        table = _inverse_deviations()
        step = 1 << (FRACTION_BITS - VARIANCE_STEP_BITS)
        indices = (log_variances + step // 2) // step - (MIN_LOG_VARIANCE << VARIANCE_STEP_BITS)
        return normal_frequencies(_bucket_edges(), means, table[np.clip(indices, 0, len(table) - 1)])

    def _likelihood(self, buckets: Integers, class_index: int | None) -> Integers:
        """Return the frequencies of ones in an item given the buckets `[Z]` of its latent: `[X]`."""
        logits = self._decoder(self._network_input(_bucket_centres()[buckets], class_index))[0]
        return bernoulli_frequencies(logits.numpy().astype(np.int64))

    def _network_input(self, values: Integers, class_index: int | None) -> Tensor:
        """Return fixed-point values `[n]` followed by the one-hot class: `[1, n + n_classes]`, in float64."""
        row = np.zeros((1, len(values) + self._n_classes))
        row[0, : len(values)] = values
        if class_index is not None:
            row[0, len(values) + class_index] = 1 << FRACTION_BITS
        return torch.from_numpy(row)


def _initial_words(latent_width: int) -> NDArray[np.uint32]:
    """Return pseudorandom words, more than the first latent can consume and the same on every machine."""
    n_words = latent_width * BUCKET_BITS // 32 + 4
    digests = b"".join(hashlib.sha256(b"manifold %d" % i).digest() for i in range(n_words // 8 + 1))
    words = np.frombuffer(digests, dtype="<u4")[:n_words].astype(np.uint32)
    words[-1] |= 1  # the coder's last word is never zero
    return words


@cache
def _bucket_edges() -> Integers:
    """Return the fixed-point edges between the buckets: `[2**BUCKET_BITS - 1]`."""
    masses = np.arange(1, 2**BUCKET_BITS, dtype=np.int64) * (TOTAL >> BUCKET_BITS)
    return normal_quantiles(masses)


@cache
def _bucket_centres() -> Integers:
    """Return the fixed-point medians of the buckets: `[2**BUCKET_BITS]`."""
    mass = TOTAL >> BUCKET_BITS
    return normal_quantiles(np.arange(2**BUCKET_BITS, dtype=np.int64) * mass + mass // 2)


@cache
def _inverse_deviations() -> Integers:
    """Return the fixed-point numbers exp(-v / 2) at every step of the log-variance v."""
    with localcontext() as context:
        context.prec = 40
        steps = range(MIN_LOG_VARIANCE << VARIANCE_STEP_BITS, (MAX_LOG_VARIANCE << VARIANCE_STEP_BITS) + 1)
        values = [int((-Decimal(n) / (2 << VARIANCE_STEP_BITS)).exp() * (1 << FRACTION_BITS)) for n in steps]
    return np.array(values, dtype=np.int64)
