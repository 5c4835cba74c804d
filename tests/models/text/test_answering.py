"""Every window of every request has logits of its own, however many are read at once."""

import pytest
import torch

from models.tasks.text import AnswerRequest
from models.text import text_model
from models.text.answering import answer
from tests.models.text.encoders import encoder, states_of, texts_of


@pytest.mark.parametrize("at_once", [1, 12, 10**6])
def test_spans_are_those_of_each_window_alone(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_model, "MAX_TOKENS_AT_ONCE", at_once)
    model, windows = encoder("span"), texts_of(5, 9, 3, 7)
    requests = [AnswerRequest(windows=tuple(windows[:3])), AnswerRequest(windows=tuple(windows[3:]))]
    with torch.inference_mode():
        results = answer(model, requests)
        assert [len(result.spans) for result in results] == [3, 1]
        assert model.span_head is not None
        spans = [span for result in results for span in result.spans]
        for window, span in zip(windows, spans, strict=True):
            torch.testing.assert_close(span, model.span_head(states_of(model, window)))
