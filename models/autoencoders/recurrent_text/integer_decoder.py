"""The decoder in integers: the same frequencies of tokens on every machine, for lossless streams of texts.

All numbers are integers in float64 with `FRACTION_BITS` bits after the binary point, as in
`models.autoencoding.compression.fixed_point`. They approximate those of the network in `model`; a stream depends on the
approximation alone.

Shapes: `B` texts, `T` positions, `E` embedding width, `M` memory width, `W` values of the waves, `H` decoder width,
`Z` latent width, `V` vocabulary.
"""

from decimal import Decimal, localcontext

import numpy as np
import torch
from torch import Tensor, nn

from models.autoencoding.compression.entropy import FRACTION_BITS, TOTAL, Integers, logistic, softmax_frequencies
from models.autoencoding.compression.fixed_point import MAX_ACTIVATION, SCALE, linear_twin

PI = Decimal("3.14159265358979323846264338327950288419716939937510")
PRECISION = 40
"""Number of decimal digits with which the waves are computed before they are rounded."""
_TOTAL_BITS = TOTAL.bit_length() - 1 - FRACTION_BITS
"""Number of bits by which the numbers of `logistic` have more after the binary point."""


class IntegerDecoder:
    """The decoder of a `RecurrentTextAutoencoder`, computed exactly.

    Source: Balle, Johnston, Minnen 2019, Integer Networks for Data Compression with Latent-Variable Models.
    """

    def __init__(
        self,
        *,
        words: Tensor,
        word_bias: Tensor,
        recurrent: nn.GRU,
        from_latent: nn.Linear,
        to_state: nn.Linear,
        to_word: nn.Linear,
        waves: Tensor,
    ) -> None:
        """Round the weights of the layers, which have the names that they have in the network.

        Args:
            words: the embeddings, `[V, E]`.
            word_bias: the bias of the logits, `[V]`.
            recurrent: the GRU, of one layer.
            from_latent: what the latents are unfolded by.
            to_state: what makes the first state of a latent.
            to_word: what makes the embedding of the next word.
            waves: `integer_waves` of the configuration, `[T, W]`.

        Raises:
            CheckpointError: a layer or a weight is too large to be computed exactly.
        """
        self._words = rounded(words)
        self._inputs, self._states = (linear_twin(*pair) for pair in recurrent_weights(recurrent))
        self._from_latent, self._to_state, self._to_word = (
            linear_twin(layer.weight, layer.bias) for layer in (from_latent, to_state, to_word)
        )
        self._logits = linear_twin(words, word_bias)
        self._waves: Tensor = waves

    def first_state(self, latents: Tensor) -> Tensor:
        """Return the states `[B, H]` that the decoder begins with, of latents `[B, Z]`."""
        return _tanh(self._to_state(latents))

    def reads(self, latents: Tensor) -> Tensor:
        """Return what the latents `[B, Z]` hold of each position, `[B, T, M]`."""
        unfolded = self._from_latent(latents).view(len(latents), -1, self._waves.shape[1])
        limit = MAX_ACTIVATION * SCALE
        return (torch.einsum("bmw,tw->btm", unfolded, self._waves) / SCALE).floor().clamp(-limit, limit)

    def next_state(self, previous: Tensor, reads: Tensor, states: Tensor) -> Tensor:
        """Return the states `[B, H]` after the tokens `previous` `[B]`, where the latents hold `reads` `[B, M]`."""
        new = self._inputs(torch.cat([self._words[previous], reads], 1)).chunk(3, 1)
        old = self._states(states).chunk(3, 1)
        reset, update = (_sigmoid(new[i] + old[i]) for i in (0, 1))
        candidates = _tanh(new[2] + _product(reset, old[2]))
        return candidates + _product(update, states - candidates)

    def frequencies(self, reads: Tensor, states: Tensor) -> Integers:
        """Return the frequencies `[B, V]` of the next token, which sum to `TOTAL`."""
        logits = self._logits(self._to_word(torch.cat([states, reads], 1)))
        return softmax_frequencies(_integers(logits))


def recurrent_weights(layer: nn.GRU) -> list[tuple[Tensor, Tensor]]:
    """Return the weight and the bias of the inputs of a GRU of one layer, and those of its states."""
    names = ("ih", "hh")
    return [(layer.get_parameter(f"weight_{name}_l0"), layer.get_parameter(f"bias_{name}_l0")) for name in names]


def rounded(values: Tensor) -> Tensor:
    """Return numbers as integers in fixed point, within the limits of what the networks take."""
    limit = MAX_ACTIVATION * SCALE
    return (values.detach().cpu().double() * SCALE).round().clamp(-limit, limit)


def integer_waves(n_tokens: int, n_waves: int, min_period: float) -> Tensor:
    """Return `RecurrentTextAutoencoder.waves`, divided by the root of `n_waves`: `[n_tokens, 1 + 2 n_waves]`.

    They are computed in decimals, because sines in binary differ between machines.
    """
    with localcontext() as context:
        context.prec = PRECISION
        scale = Decimal(2**FRACTION_BITS) / Decimal(n_waves).sqrt()
        least = Decimal(min_period)
        ratio = (2 * n_tokens / least).ln()
        periods = [least * (ratio * j / max(n_waves - 1, 1)).exp() for j in range(n_waves)]
        turns = [[(t / period) % 1 for period in periods] for t in map(Decimal, range(n_tokens))]
        rows = [
            [Decimal(1), *(_sine(turn) for turn in row), *(_sine((turn + Decimal("0.25")) % 1) for turn in row)]
            for row in turns
        ]
        values = [[int((value * scale).to_integral_value()) for value in row] for row in rows]
    return torch.tensor(values, dtype=torch.float64)


def _sine(turn: Decimal) -> Decimal:
    """Return the sine of a number of turns from 0 to 1, by its Taylor series."""
    x = 2 * PI * (turn if turn < Decimal("0.5") else turn - 1)
    term = total = x
    n = 1
    while abs(term) > Decimal(10) ** -30:
        n += 2
        term *= -x * x / (n * (n - 1))
        total += term
    return total


def _integers(values: Tensor) -> Integers:
    found: Integers = values.numpy().astype(np.int64)
    return found


def _sigmoid(values: Tensor) -> Tensor:
    shares = logistic(_integers(values))
    return torch.from_numpy(shares >> _TOTAL_BITS).double()


def _tanh(values: Tensor) -> Tensor:
    """Return tanh(x) = 2 / (1 + exp(-2 x)) - 1."""
    shares = logistic(2 * _integers(values))
    return torch.from_numpy((2 * shares - TOTAL) >> _TOTAL_BITS).double()


def _product(first: Tensor, second: Tensor) -> Tensor:
    return (first * second / SCALE).floor()
