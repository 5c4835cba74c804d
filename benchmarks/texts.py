"""Texts as benchmarks read them: of log-normal lengths, mean about 42 tokens, the same each time."""

import random

from models.layers.text_model import plain_tokens
from models.tasks.text import Tokens

MEAN_LOG, DEVIATION_LOG, MOST = 3.5, 0.65, 221


def lengths(n: int, seed: int = 0) -> list[int]:
    """Of `n` texts, in tokens."""
    draw = random.Random(seed)  # noqa: S311 no secret
    return [min(MOST, max(3, round(draw.lognormvariate(MEAN_LOG, DEVIATION_LOG)))) for _ in range(n)]


def texts(n: int, vocab_size: int, seed: int = 0) -> list[Tokens]:
    """`n` texts of random tokens."""
    draw = random.Random(seed)  # noqa: S311 no secret
    return [plain_tokens(draw.choices(range(vocab_size), k=length)) for length in lengths(n, seed)]


def batches(some: list[Tokens], budget: int) -> list[list[Tokens]]:
    """In the order given, each of as many texts as have no more than `budget` tokens together."""
    found: list[list[Tokens]] = []
    cost = budget
    for text in some:
        if cost + len(text) > budget:
            found.append([])
            cost = 0
        found[-1].append(text)
        cost += len(text)
    return found
