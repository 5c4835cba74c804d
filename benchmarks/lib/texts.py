"""How long the texts of benchmarks are: log-normal, mean about 42 tokens, the same each time."""

import random

MEAN_LOG, DEVIATION_LOG, MOST = 3.5, 0.65, 221


def lengths(n: int, seed: int = 0) -> list[int]:
    """Of `n` texts, in tokens."""
    draw = random.Random(seed)  # noqa: S311 no secret
    return [min(MOST, max(3, round(draw.lognormvariate(MEAN_LOG, DEVIATION_LOG)))) for _ in range(n)]
