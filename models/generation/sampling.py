"""Placeholder: to be described."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.tasks.text import GeneratedToken, GenerateRequest

N_LIKELIEST = 256
"""Tokens among which a share of the probability is sought first: to sort all takes longer than a small model does."""


@dataclass(frozen=True, kw_only=True)
class GenerationRules:
    """What a model demands of every text it generates.

    `ends` are the tokens that end a text; those `suppressed` are never generated; `forced_end` is what the last one
    possible must be, if anything.
    """

    ends: tuple[int, ...] = ()
    suppressed: tuple[int, ...] = ()
    forced_end: int | None = None


def allowed(
    log_probs: Tensor, seen: Sequence[int], n_done: int, request: GenerateRequest, rules: GenerationRules
) -> Tensor:
    """Scores `[V]` after what was `seen` and `n_done` new tokens: the demands of request and model, before any draw."""
    is_free = request.repetition_penalty == 1.0 and n_done >= request.min_new_tokens
    if is_free and not rules.suppressed and rules.forced_end is None:
        return log_probs
    scores = log_probs.clone()
    if request.repetition_penalty != 1.0 and seen:
        places = torch.tensor(sorted(set(seen)), device=scores.device)
        values = scores[places]
        penalty = request.repetition_penalty
        scores[places] = torch.where(values < 0, values * penalty, values / penalty)
    if n_done < request.min_new_tokens:
        scores[list(rules.ends)] = -torch.inf
    scores[list(rules.suppressed)] = -torch.inf
    if rules.forced_end is not None and n_done + 1 == request.max_new_tokens:
        scores.fill_(-torch.inf)
        scores[rules.forced_end] = 0.0
    return scores


def candidates(
    scores: Tensor, temperature: float, top_k: int | None, top_p: float | None
) -> tuple[Tensor | None, Tensor]:
    """The tokens that may be drawn, likeliest first, None for all in order; and their scores over the temperature.

    Left out are all but the `top_k` best and, of what is left, all but the fewest best whose probabilities sum to at
    least `top_p` (Fan et al. 2018; Holtzman et al. 2020, section 3.1). Of scores `[V]`.
    """
    scores = scores / temperature
    wants_mass = top_p is not None and top_p < 1.0
    if top_k is None and not wants_mass:
        return None, scores
    best, ids = scores.topk(min(top_k or N_LIKELIEST, len(scores)))
    if top_p is None or not wants_mass:
        return ids, best
    total = (scores if top_k is None else best).logsumexp(-1)
    if top_k is None and (best - total).exp().sum() < top_p:
        best, ids = scores.sort(descending=True)
    probs = (best - total).exp()
    n_kept = max(1, int((probs.cumsum(-1) - probs < top_p).sum()))
    return ids[:n_kept], best[:n_kept]


def described(scores: Tensor, token: int, n_alternatives: int) -> GeneratedToken:
    """A token with its log-probability by logits, or log-probabilities, `[V]`."""
    log_probs = scores.log_softmax(-1)
    others: tuple[tuple[int, float], ...] = ()
    if n_alternatives:
        values, ids = log_probs.topk(min(n_alternatives, len(log_probs)))
        others = tuple(zip(ids.tolist(), values.tolist(), strict=True))
    return GeneratedToken(token, float(log_probs[token]), others)
