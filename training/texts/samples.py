"""Inputs and outputs as the model cards show them."""

import random
from collections.abc import Sequence
from typing import TypeVar

import torch

from models.codecs.text.codec import FastCodec
from models.layers.encoder import TextEncoder
from models.tasks import FILL_MASK
from models.tasks import text as t

N_PREDICTIONS = 3
T = TypeVar("T")


def draw_examples(values: Sequence[T], n: int) -> list[T]:
    """`n` of them at random, all where there are fewer; by the seed 0, so the same each time."""
    return random.Random(0).sample(list(values), min(n, len(values)))  # noqa: S311 no secret


def quote(text: str) -> str:
    """On one line, as code: nothing in it is taken for Markdown."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{' '.join(text.split())}{fence}"


def mask_one_word(text: str, mask: str) -> str:
    """One word of some letters, drawn by the text itself, behind a mask."""
    words = text.split(" ")
    places = [place for place, word in enumerate(words) if word.isalpha() and len(word) > 2]
    words[random.Random(text).choice(places or [0])] = mask  # noqa: S311 no secret
    return " ".join(words)


def show_mask_predictions(model: TextEncoder, codec: FastCodec, text: str) -> str:
    """A text, and the likeliest tokens at its mask."""
    tokens = codec.encode_truncated(text)
    place = tokens.ids.tolist().index(codec.special.mask)
    with torch.inference_mode():
        (result,) = FILL_MASK.run(model, [t.FillMaskRequest(tokens=tokens, places=(place,), top_k=N_PREDICTIONS)])
    fills = ", ".join(f"{codec.token_text(fill.token).strip()} {fill.score:.2f}" for fill in result.fills[0])
    return f"{quote(text)} → {quote(fills)}"
