"""Likelihoods of texts, by models that predict masked words."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from models.ops.cooperation import split_by_tokens
from models.ops.devices import to_cpu
from models.tasks.text import ScoreTextRequest, ScoreTextResult, Tokens
from models.text.text_encoder import TextEncoder
from models.text.text_model import tokens_at_once

MAX_MASKED_TOKENS = 4096
"""Maximum number of tokens of the masked copies of a text that are read together on a GPU, to bound the memory."""


def score_text(model: TextEncoder, requests: Sequence[ScoreTextRequest]) -> list[ScoreTextResult]:
    """Return each token's log-probability where it alone is masked; their sum is the pseudo-log-likelihood.

    Raises:
        InvalidItems: a text is too long.

    Source: Salazar et al. 2020, equation 1.
    """
    results: list[ScoreTextResult] = []
    for request in requests:
        texts = request.tokens.details().texts
        positions = [position for position, text in enumerate(texts) if text is not None]
        log_probs = _masked_log_probs(model, request.tokens, positions) if positions else torch.empty(0)
        results.append(ScoreTextResult(positions=positions, log_probs=log_probs))
    return results


def _masked_log_probs(model: TextEncoder, tokens: Tokens, positions: list[int]) -> Tensor:
    """Return the log-probability of the token at each position, `[n]`, from a copy of the text that is masked there."""
    log_probs: list[Tensor] = []
    for part in split_by_tokens([len(tokens)] * len(positions), tokens_at_once(model, MAX_MASKED_TOKENS)):
        masked = positions[part]
        batch, hidden = model.read([_with_mask(tokens, position, model.mask_id) for position in masked])
        at_masks = hidden[batch.token_rows([[position] for position in masked])]
        rows = to_cpu(model.masked_logits(at_masks)).log_softmax(-1)
        log_probs.append(rows[range(len(masked)), torch.from_numpy(tokens.ids[masked])])
    return torch.cat(log_probs)


def _with_mask(tokens: Tokens, position: int, mask_id: int) -> Tokens:
    ids = tokens.ids.copy()
    ids[position] = mask_id
    return replace(tokens, ids=ids)
