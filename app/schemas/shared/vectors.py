"""The forms in which `/encode` answers the vectors of texts."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InferenceFailed

INT8_LIMIT = 127
"""Largest absolute value of an element of an `int8` vector; -128 is not used, so that the scale has no offset."""
UINT8_OFFSET = 128
"""Number that is added to the elements of an `int8` or a `binary` vector to get `uint8` or `ubinary`."""


def quantize(vectors: NDArray[np.float32], encoding: str) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Return vectors `[n, D]` with fewer bits an element, and the scale of each vector `[n]` if there is one.

    `int8`: an element x becomes round(x / s), where s is the largest absolute value of the vector divided by 127, its
    scale. `uint8`: 128 more than that. So x is about s q, or s (q - 128), and cosines need no scale. The scale is of
    one vector alone, so that no vector depends on the others of its request.
    Source: Dettmers et al. 2022, LLM.int8(), section 2.1, absmax quantization.

    `ubinary`: one bit an element, 1 if it is above 0; eight bits a byte, the first element in the highest bit, and
    zeros at the end, `[n, ceil(D / 8)]`. `binary`: 128 less than that, as signed bytes.
    Source: `quantize_embeddings` of sentence-transformers.

    Raises:
        InferenceFailed: a number is not finite.
    """
    _check_finite(vectors)
    if encoding in ("int8", "uint8"):
        scales = np.abs(vectors).max(-1) / np.float32(INT8_LIMIT)
        rounded = np.rint(vectors / np.where(scales == 0, 1, scales)[:, None])
        rounded = rounded.clip(-INT8_LIMIT, INT8_LIMIT)
        return (rounded.astype(np.int8) if encoding == "int8" else (rounded + UINT8_OFFSET).astype(np.uint8)), scales
    packed = np.packbits(vectors > 0, axis=-1)
    return (packed if encoding == "ubinary" else (packed.astype(np.int16) - UINT8_OFFSET).astype(np.int8)), None


def render_vectors(vectors: NDArray[np.float32], encoding: str) -> list[dict[str, Any]]:
    """Return an output for each of the vectors `[n, D]`, in any encoding but `float`.

    Raises:
        InferenceFailed: a number is not finite.
    """
    if encoding == "base64":
        _check_finite(vectors)
        return [{"embedding": base64.b64encode(row.astype("<f4").tobytes()).decode()} for row in vectors]
    quantized, scales = quantize(vectors, encoding)
    if scales is None:
        return [{"embedding": row} for row in quantized]
    return [
        {"embedding": row, "scale": scale} for row, scale in zip(quantized, scales.astype(float).tolist(), strict=True)
    ]


def _check_finite(vectors: NDArray[np.float32]) -> None:
    if not np.isfinite(vectors).all():
        raise InferenceFailed("the model's answer holds a number that is not finite")


def join_outputs(outputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the outputs of a text's tokens as one output, whose fields are lists."""
    return {name: [output[name] for output in outputs] for name in outputs[0]}
