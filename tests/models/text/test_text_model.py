"""A model of texts names the texts that it cannot read, and forgets what it knows of weights that have moved."""

import pytest
import torch

from models.errors import InvalidItems
from models.text import text_model
from models.text.text_model import read_in_parts
from tests.models.text.encoders import N_POSITIONS, encoder, ids_of, texts_of


def test_texts_that_are_empty_or_too_long_are_named() -> None:
    texts = [*texts_of(1, N_POSITIONS), ids_of(), *texts_of(N_POSITIONS + 1)]
    with pytest.raises(InvalidItems) as refused:
        encoder().check_lengths(texts)
    assert [(problem.index, problem.detail) for problem in refused.value.problems] == [
        (2, f"the text has 0 tokens; this model takes 1 to {N_POSITIONS}"),
        (3, f"the text has {N_POSITIONS + 1} tokens; this model takes 1 to {N_POSITIONS}"),
    ]


def test_the_rows_of_a_batch_are_a_multiple_where_onednn_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    for runs_on_kernels, n_rows in ((False, text_model.ONEDNN_MULTIPLE), (True, 5)):
        model = encoder()
        monkeypatch.setitem(model.__dict__, "runs_on_kernels", runs_on_kernels)
        assert len(model.batch_of(texts_of(2, 3)).token_ids) == n_rows


def test_facts_of_the_weights_are_forgotten_when_they_move() -> None:
    model = encoder()
    assert model.device.type == "cpu"
    assert model.encoder_graphs is None
    model.to("meta")
    assert model.device.type == "meta"


def test_many_texts_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model, texts = encoder(), texts_of(4, 9, 5, 2, 12)
    monkeypatch.setattr(text_model, "MAX_TOKENS_AT_ONCE", 11)
    parts = [batch for batch, _ in read_in_parts(model, texts)]
    assert [len(batch.order) for batch in parts] == [1, 1, 2, 1]
    found = [text.tolist() for batch in parts for text in batch.by_text(batch.token_ids)]
    assert found == [text.ids.tolist() for text in texts]


def test_random_codes_are_the_same_each_time() -> None:
    model = encoder()
    with torch.inference_mode():
        codes = model.random_codes(5)
        assert codes.shape == (5, 12)
        assert torch.equal(codes, model.random_codes(5))
