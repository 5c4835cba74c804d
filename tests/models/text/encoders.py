"""A small BERT with any heads, and texts for it."""

from typing import Any, cast

import torch

from models.tasks.text import Tokens
from models.text.text_encoder import TextEncoder
from models.transformers import bert
from models.transformers.bert.config import BertConfig
from tests.models.transformers.reference import random_text
from tests.models.transformers.test_contract import build

MASK_ID, VOCAB_SIZE, N_POSITIONS = 4, 60, 24


def encoder(*heads: str, **settings: Any) -> TextEncoder:
    """Return a model with random weights that answers the tasks of its heads."""
    sizes = bert.FAMILY.tiny[-1].to_dict()
    config = BertConfig(**{**sizes, "labels": (), **settings, "heads": heads})
    model = cast("TextEncoder", build(bert.FAMILY, config))
    model.mask_id = MASK_ID
    return model


def texts_of(*lengths: int) -> list[Tokens]:
    return [random_text(length, VOCAB_SIZE, length) for length in lengths]


def ids_of(*ids: int) -> Tokens:
    return Tokens.of_ids(ids)


def states_of(model: TextEncoder, tokens: Tokens) -> torch.Tensor:
    """Return the last hidden states of one text that is read alone."""
    _, hidden = model.read([tokens])
    return hidden[: len(tokens)]
