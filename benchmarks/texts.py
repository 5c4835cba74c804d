"""Texts as benchmarks in this process read them."""

import random

from benchmarks.lengths import lengths
from models.layers.text_model import plain_tokens
from models.tasks.text import Tokens


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
