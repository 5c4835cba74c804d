"""The likeliest token of each row of logits, and its log-probability.

Shapes: `B` rows, `V` vocabulary.
"""

from torch import Tensor

from models.ops import avx512, reference, triton


def top_tokens(logits: Tensor) -> Tensor:
    """Return the likeliest token of each row of `[B, V]` and its log-probability: `[2, B]`, float64, on their device.

    Of equally likely tokens it is the first.
    """
    return triton.top_tokens(logits) if triton.supports_tensor(logits) else reference.top_tokens(logits)


def list_top_tokens(logits: Tensor) -> list[tuple[int, float]]:
    """Return the likeliest token of each row of `[B, V]` and its log-probability, which is NaN if a logit is."""
    if avx512.supports_tensor(logits):
        return avx512.top_tokens(logits)
    return to_list(top_tokens(logits))


def to_list(top: Tensor) -> list[tuple[int, float]]:
    """Return what `top_tokens` computed as a list of tokens and log-probabilities."""
    return [(int(token), log_prob) for token, log_prob in zip(*top.tolist(), strict=True)]
