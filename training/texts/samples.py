"""Format inputs and outputs for the model cards."""

import random
from collections.abc import Sequence
from typing import TypeVar

import torch

from models.codecs.text import TokenizersCodec
from models.tasks import FILL_MASK
from models.tasks.text import FillMaskRequest
from models.text.text_encoder import TextEncoder

N_PREDICTIONS = 3
T = TypeVar("T")


def draw_examples(values: Sequence[T], n: int) -> list[T]:
    """Draw `n` values, or all if there are fewer, always the same ones."""
    return random.Random(0).sample(list(values), min(n, len(values)))  # noqa: S311 no secret


def quote(text: str) -> str:
    """Format a text as inline code on one line, so that Markdown in it has no effect."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{' '.join(text.split())}{fence}"


def mask_one_word(text: str, mask: str) -> str:
    """Replace one word of at least three letters by the mask; the text itself is the seed."""
    words = text.split(" ")
    indices = [index for index, word in enumerate(words) if word.isalpha() and len(word) > 2]
    words[random.Random(text).choice(indices or [0])] = mask  # noqa: S311 no secret
    return " ".join(words)


def show_mask_predictions(model: TextEncoder, codec: TokenizersCodec, text: str) -> str:
    """Format a text with the likeliest tokens at its mask."""
    tokens = codec.encode_truncated(text)
    position = tokens.ids.tolist().index(codec.special.mask)
    with torch.inference_mode():
        (result,) = model.run(FILL_MASK, [FillMaskRequest(tokens=tokens, positions=(position,), top_k=N_PREDICTIONS)])
    fills = ", ".join(f"{codec.token_text(fill.token).strip()} {fill.score:.2f}" for fill in result.fills[0])
    return f"{quote(text)} → {quote(fills)}"
