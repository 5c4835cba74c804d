"""The pseudo-log-likelihood masks one token after the other; special tokens are not scored."""

import pytest
import torch

from models.tasks import ENCODE_TEXT, SCORE_TEXT
from models.tasks.text import EncodeTextRequest, ScoreTextRequest, Tokens
from models.text import scoring
from models.text.scoring import score_text
from tests.models.text.encoders import MASK_ID, encoder, states_of

START, END = 2, 3
IDS = (START, 17, 8, 17, 30, END)


@pytest.mark.parametrize("at_once", [1, 13, 4096])
def test_each_token_is_predicted_where_it_alone_is_masked(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "MAX_MASKED_TOKENS", at_once)
    model = encoder("masked")
    tokens = Tokens.of_ids(IDS, {START, END})
    with torch.inference_mode():
        (result,) = score_text(model, [ScoreTextRequest(tokens=tokens)])
        assert list(result.positions) == [1, 2, 3, 4]
        for position, log_prob in zip(result.positions, result.log_probs, strict=True):
            masked = [MASK_ID if index == position else token_id for index, token_id in enumerate(IDS)]
            logits = model.masked_logits(states_of(model, Tokens.of_ids(masked)))
            torch.testing.assert_close(log_prob, logits[position].log_softmax(-1)[IDS[position]])
    assert tokens.ids.tolist() == list(IDS)


def test_a_text_of_special_tokens_has_no_scores() -> None:
    tokens = Tokens.of_ids((START, END), {START, END})
    (result,) = score_text(encoder("masked"), [ScoreTextRequest(tokens=tokens)])
    assert list(result.positions) == []
    assert result.log_probs.shape == (0,)


def test_a_text_costs_as_many_passes_as_it_has_tokens() -> None:
    request = ScoreTextRequest(tokens=Tokens.of_ids(IDS))
    assert encoder("masked").cost_of(SCORE_TEXT, request) == len(IDS) ** 2
    assert encoder("masked").cost_of(ENCODE_TEXT, EncodeTextRequest(tokens=request.tokens)) == len(IDS)
