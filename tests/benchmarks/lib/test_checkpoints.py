"""Checkpoints with random weights, which this project and Transformers load alike."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModel, AutoModelForCausalLM

from benchmarks.lib.checkpoints import write_checkpoint
from benchmarks.lib.texts import random_texts
from models.checkpoint import load_model, read_checkpoint
from models.text.embedding import vectors
from tests.benchmarks.tiny import VOCAB_SIZE

pytestmark = pytest.mark.usefixtures("tiny_shapes")


def test_an_encoder_gives_the_vectors_of_transformers(tmp_path: Path) -> None:
    folder = write_checkpoint("minilm", tmp_path / "encoder")
    checkpoint = read_checkpoint(folder)
    model: Any = load_model(checkpoint)
    codec: Any = checkpoint.codec
    tokens = codec.encode(random_texts([7], vocab_size=VOCAB_SIZE)[0])
    assert len(tokens.ids) == 7
    reference: Any = AutoModel.from_pretrained(folder)
    reference.eval()
    with torch.inference_mode():
        vector = vectors(model, [tokens])[0]
        states = reference(input_ids=torch.from_numpy(tokens.ids)[None]).last_hidden_state[0]
    torch.testing.assert_close(vector, states.mean(0), atol=1e-5, rtol=1e-4)


def test_a_decoder_gives_the_logits_of_transformers(tmp_path: Path) -> None:
    folder = write_checkpoint("gpt2", tmp_path / "decoder")
    reference: Any = AutoModelForCausalLM.from_pretrained(folder)
    reference.eval()
    model: Any = load_model(read_checkpoint(folder))
    ids = torch.tensor([5, 6, 7])
    with torch.inference_mode():
        expected = reference(input_ids=ids[None]).logits[0, -1]
        logits = model.prefill([ids], model.new_cache())[0]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode("w7 w39 w40").ids == [7, 39, 0]
