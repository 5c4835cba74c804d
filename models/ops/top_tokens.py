"""The likeliest token of each row of logits, and its log-probability.

Shapes: `B` rows, `V` vocabulary.
"""

from torch import Tensor

from models.ops import avx512, reference, triton


def top_tokens(logits: Tensor) -> Tensor:
    """Return the likeliest token of each row of `[B, V]` and its log-probability: `[2, B]`, float64, on their device.

    Of equally likely tokens it is the first.
    """
    implementation = triton.top_tokens if triton.supports_tensor(logits) else reference.top_tokens
    return implementation(logits)


def list_top_tokens(logits: Tensor, top: Tensor | None = None) -> list[tuple[int, float]]:
    """Return the likeliest token of each row of `[B, V]` and its log-probability, which is NaN if a logit is.

    `top` is what `top_tokens` returned for the logits, if that is known.
    """
    if top is None and avx512.supports_tensor(logits):
        return avx512.top_tokens(logits)
    tokens, log_probs = (top_tokens(logits) if top is None else top).tolist()
    return [(int(token), log_prob) for token, log_prob in zip(tokens, log_probs, strict=True)]
