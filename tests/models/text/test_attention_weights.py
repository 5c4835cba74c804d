"""Attention weights are those of the layers and heads that a request names."""

import pytest
import torch

from models.errors import InvalidItems
from models.tasks.text import AttendRequest
from models.text.attention_weights import show_attention
from models.text.text_model import TextModel
from models.transformers import gpt
from tests.models.text.encoders import encoder, texts_of
from tests.models.transformers.test_contract import build


def models() -> list[TextModel]:
    return [encoder(), build(gpt.FAMILY, gpt.FAMILY.tiny[0])]


@pytest.mark.parametrize("model", models(), ids=["encoder", "decoder"])
def test_weights_of_a_token_sum_to_one_and_later_tokens_of_a_decoder_have_none(model: TextModel) -> None:
    texts = texts_of(7, 1, 4)
    with torch.inference_mode():
        results = show_attention(model, [AttendRequest(tokens=text) for text in texts])
    for text, result in zip(texts, results, strict=True):
        n = len(text)
        assert result.attention.shape == (2, 3, n, n)
        torch.testing.assert_close(result.attention.sum(-1), torch.ones(2, 3, n))
        has_later = bool((result.attention.triu(1) > 0).any())
        assert has_later == (not model.causal and n > 1)


def test_layers_and_heads_are_returned_in_the_order_in_which_they_are_named() -> None:
    model, (text,) = encoder(), texts_of(5)
    with torch.inference_mode():
        (whole,) = show_attention(model, [AttendRequest(tokens=text)])
        (some,) = show_attention(model, [AttendRequest(tokens=text, layers=(1, 0), heads=(2, 0))])
    assert torch.equal(some.attention, whole.attention[[1, 0]][:, [2, 0]])


@pytest.mark.parametrize(
    ("layers", "heads", "message"), [((2,), None, "layers has 2"), (None, (0, -1), "heads has -1")]
)
def test_layers_and_heads_that_do_not_exist_are_named(
    layers: tuple[int, ...] | None, heads: tuple[int, ...] | None, message: str
) -> None:
    (text,) = texts_of(5)
    with pytest.raises(InvalidItems, match=f"{message}; this model's are 0 to"):
        show_attention(encoder(), [AttendRequest(tokens=text, layers=layers, heads=heads)])
