"""The likeliest token.

Shapes: `B` rows, `V` vocabulary.
"""

from ctypes import addressof, c_float, c_int64

from torch import Tensor

from models.ops.avx512.library import function, n_threads
from models.ops.avx512.memory import contiguous


def top_tokens(logits: Tensor) -> list[tuple[int, float]]:
    """Return the first of the likeliest tokens of each row of `[B, V]`, and its log-probability; NaN if a logit is."""
    logits = contiguous(logits)
    n_rows, n_tokens = logits.shape
    tokens, log_probs = (c_int64 * n_rows)(), (c_float * n_rows)()
    function("likeliest", logits.dtype)(
        logits.data_ptr(), n_rows, n_tokens, addressof(tokens), addressof(log_probs), n_threads()
    )
    return list(zip(tokens, log_probs, strict=True))
