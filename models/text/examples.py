"""Small valid requests, and random texts, for any vocabulary and context length."""

from typing import Any

import torch

from models.seeding import seeded
from models.tasks import Task
from models.tasks.generation import GenerateRequest
from models.tasks.text import AnswerRequest, FillMaskRequest, TextsRequest, Tokens

EXAMPLE_LENGTH = 6
"""Maximum number of tokens of the texts of examples."""
MAX_RANDOM_LENGTH = 64
"""Maximum number of tokens of random texts."""


def example_request(task: Task, vocab_size: int, n_positions: int) -> Any:
    """Return a small valid request of a task, for models that take up to `n_positions` tokens."""
    length = min(EXAMPLE_LENGTH, n_positions - 2)
    tokens = Tokens.of_ids([position * 7 % vocab_size for position in range(1, 1 + length)])
    arguments: dict[type, dict[str, Any]] = {
        FillMaskRequest: {"tokens": tokens, "positions": (1,)},
        AnswerRequest: {"windows": (tokens,)},
        GenerateRequest: {"tokens": tokens, "max_new_tokens": 2},
    }
    is_of_texts = issubclass(task.request, TextsRequest)
    return task.request(
        **arguments.get(task.request, {"texts": (tokens, tokens)} if is_of_texts else {"tokens": tokens})
    )


def random_texts(n: int, vocab_size: int, n_positions: int) -> list[Tokens]:
    """Return `n` texts of random lengths and tokens, the same each time."""
    generator = seeded(n)
    most = min(MAX_RANDOM_LENGTH, n_positions - 2)
    lengths = torch.randint(1, 1 + most, (n,), generator=generator).tolist()
    return [Tokens.of_ids(torch.randint(vocab_size, (length,), generator=generator).tolist()) for length in lengths]
