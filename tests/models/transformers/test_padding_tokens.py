"""Padding tokens inside of texts, which are read as transformers reads them: they are seen, but may not be counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from models.ops import avx512
from models.tasks.text import Tokens
from models.text.embedding import hidden_states
from models.text.text_model import TextModel
from models.transformers.gpt.model import Gpt
from tests.models.transformers.reference import assert_close, ours, publish

SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
DISTILBERT = {"vocab_size": 40, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
TEXTS = ([0, 7, 1, 8, 2], [1, 1, 9], [0, 7, 8, 2], [1], [0, 1, 1, 6, 1, 5, 1])
"""Texts of ids, with the padding token, 1, at any place."""


def tokens(ids: list[int]) -> Tokens:
    return Tokens.of_ids(ids)


def states(model: TextModel, texts: list[Tokens]) -> list[torch.Tensor]:
    with torch.inference_mode():
        return hidden_states(model, texts)


@pytest.mark.parametrize(
    "architecture", ["RobertaModel", "BertModel", "AlbertModel", "DistilBertModel", "MPNetModel", "ElectraModel"]
)
@pytest.mark.parametrize("has_kernels", [True, False])
def test_encoders_place_padding_tokens_as_the_reference_does(
    architecture: str, has_kernels: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_kernels:
        monkeypatch.setattr(avx512, "supports_tensor", lambda tensor: False)
    kind: Any = getattr(transformers, architecture.replace("Model", "Config"))
    sizes = DISTILBERT if architecture == "DistilBertModel" else SMALL
    reference = publish(tmp_path, architecture, kind(**sizes, max_position_embeddings=20, pad_token_id=1))
    model = ours(tmp_path)
    for ids, mine in zip(TEXTS, states(model, [tokens(ids) for ids in TEXTS]), strict=True):
        with torch.inference_mode():
            assert_close(mine, reference(input_ids=torch.tensor([ids])).last_hidden_state[0])


@pytest.mark.parametrize("padding_id", [1, None])
def test_gpt_classifies_the_last_token_that_is_no_padding(padding_id: int | None, tmp_path: Path) -> None:
    kind: Any = transformers.GPT2Config
    config = kind(vocab_size=40, n_positions=20, n_embd=16, n_layer=2, n_head=2, num_labels=3, pad_token_id=padding_id)
    reference = publish(tmp_path, "GPT2ForSequenceClassification", config)
    model = ours(tmp_path)
    assert isinstance(model, Gpt)
    with torch.inference_mode():
        mine = model.class_logits([tokens(ids) for ids in TEXTS])
        for ids, logits in zip(TEXTS, mine, strict=True):
            assert_close(logits, reference(input_ids=torch.tensor([ids])).logits[0])
    assert np.isfinite(mine.numpy()).all()
