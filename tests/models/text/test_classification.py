"""Classes have the scores that suit the kind of classification, or those that a request asks for."""

import pytest
import torch
from torch import Tensor

from models.tasks.classification import Activation
from models.tasks.text import ClassifyTextRequest, ClassifyTokensRequest
from models.text.classification import classify, classify_tokens
from models.text.label_activation import LABEL_ACTIVATIONS
from tests.models.text.encoders import encoder, texts_of

LABELS = ("a", "b", "c")


def scores_of(logits: Tensor, activation: Activation) -> Tensor:
    return {"softmax": logits.softmax(0), "sigmoid": logits.sigmoid(), "none": logits}[activation]


@pytest.mark.parametrize("default", LABEL_ACTIVATIONS)
@pytest.mark.parametrize("wanted", [None, *LABEL_ACTIVATIONS])
def test_scores_are_those_of_the_checkpoint_or_of_the_request(default: Activation, wanted: Activation | None) -> None:
    model, texts = encoder("pooler", "sequence", labels=LABELS, label_activation=default), texts_of(4, 7)
    requests = [ClassifyTextRequest(tokens=text, function_to_apply=wanted) for text in texts]
    with torch.inference_mode():
        results, logits = classify(model, requests), model.class_logits(texts)
    for result, row in zip(results, logits, strict=True):
        expected = dict(zip(LABELS, scores_of(row, wanted or default).tolist(), strict=True))
        assert {score.label: score.score for score in result.labels} == pytest.approx(expected)
        assert [score.score for score in result.labels] == sorted(expected.values(), reverse=True)


def test_top_k_keeps_the_likeliest_classes() -> None:
    model, (text,) = encoder("pooler", "sequence", labels=LABELS), texts_of(4)
    with torch.inference_mode():
        whole, some = (classify(model, [ClassifyTextRequest(tokens=text, top_k=k)])[0] for k in (None, 2))
    assert some.labels == whole.labels[:2]


def test_each_token_has_a_probability_of_each_class() -> None:
    model, texts = encoder("tokens", labels=LABELS), texts_of(6, 3)
    with torch.inference_mode():
        results = classify_tokens(model, [ClassifyTokensRequest(tokens=text) for text in texts])
    for text, result in zip(texts, results, strict=True):
        assert result.scores.shape == (len(text), 3)
        torch.testing.assert_close(result.scores.sum(1), torch.ones(len(text)))


def test_a_model_without_the_head_says_so() -> None:
    for call in (
        lambda: encoder().class_logits(texts_of(3)),
        lambda: classify_tokens(encoder(), [ClassifyTokensRequest(tokens=texts_of(3)[0])]),
    ):
        with pytest.raises(NotImplementedError, match="built without the head"):
            call()
