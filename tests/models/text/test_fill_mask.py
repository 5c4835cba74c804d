"""The tokens at masks are the likeliest of all, or of the targets."""

import torch

from models.tasks.text import FillMaskRequest
from models.text.fill_mask import fill_mask
from tests.models.text.encoders import MASK_ID, VOCAB_SIZE, encoder, ids_of, states_of

TEXTS = [ids_of(7, MASK_ID, 9, 11, MASK_ID), ids_of(MASK_ID, 8)]
POSITIONS: list[tuple[int, ...]] = [(1, 4), (0,)]


def test_fills_are_the_likeliest_tokens_at_each_mask() -> None:
    model = encoder("masked")
    requests = [FillMaskRequest(tokens=t, positions=p, top_k=3) for t, p in zip(TEXTS, POSITIONS, strict=True)]
    with torch.inference_mode():
        results = fill_mask(model, requests)
        for request, result in zip(requests, results, strict=True):
            probs = model.masked_logits(states_of(model, request.tokens)).softmax(-1)
            for position, fills in zip(request.positions, result.fills, strict=True):
                best = probs[position].topk(3)
                assert [fill.token for fill in fills] == best.indices.tolist()
                torch.testing.assert_close(torch.tensor([fill.score for fill in fills]), best.values)


def test_targets_are_ranked_by_their_probability_among_all_tokens() -> None:
    model, targets = encoder("masked"), (12, 3, 40)
    with torch.inference_mode():
        (whole,), (some,) = (
            fill_mask(model, [FillMaskRequest(tokens=TEXTS[1], positions=(0,), top_k=VOCAB_SIZE, targets=each)])
            for each in (None, targets)
        )
    assert some.fills[0] == tuple(fill for fill in whole.fills[0] if fill.token in targets)
