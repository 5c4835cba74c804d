"""Random texts, the same each time, with the lengths of real sentences: log-normal, about 42 tokens on average."""

import random
from collections.abc import Sequence

MEAN_LOG_LENGTH, DEVIATION_LOG_LENGTH = 3.5, 0.65
MIN_LENGTH, MAX_LENGTH = 3, 221
N_SPECIAL_TOKENS, VOCAB_SIZE = 5, 30522
"""The vocabulary of the checkpoints in `benchmarks.lib.checkpoints` whose words these texts use."""


def text_lengths(n: int, seed: int = 0) -> list[int]:
    """Return the lengths of `n` texts, in tokens."""
    draw = random.Random(seed)  # noqa: S311 not a secret
    lengths = (round(draw.lognormvariate(MEAN_LOG_LENGTH, DEVIATION_LOG_LENGTH)) for _ in range(n))
    return [min(MAX_LENGTH, max(MIN_LENGTH, length)) for length in lengths]


def random_texts(lengths: Sequence[int], vocab_size: int = VOCAB_SIZE, seed: int = 0) -> list[str]:
    """Return texts of the given lengths in tokens, which include the two special tokens of an encoder."""
    draw = random.Random(seed)  # noqa: S311 not a secret
    return [" ".join(f"w{draw.randrange(N_SPECIAL_TOKENS, vocab_size)}" for _ in range(n - 2)) for n in lengths]
