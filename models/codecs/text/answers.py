"""Logits of where an answer begins and ends, to answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.tasks.text import Tokens


@dataclass(frozen=True, slots=True)
class Answer:
    """Characters `start` to `end` of the context; none of them where there is no answer."""

    answer: str
    score: float
    start: int
    end: int


def answers(
    windows: Sequence[Tokens], spans: Sequence[Tensor], *, top_k: int, max_answer_tokens: int, allow_no_answer: bool
) -> list[Answer]:
    """The likeliest spans, best first, of windows of one context with their logits `[T, 2]`.

    The score is a probability: softmax of the sum of both logits, over every span of `max_answer_tokens` at most in any
    window and, with `allow_no_answer`, over there being none: the least sum of a window's first token (Devlin et al.
    2019, section 4.3).
    """
    candidates: list[tuple[float, int, int]] = []
    logits: list[Tensor] = []
    for window, span in zip(windows, spans, strict=True):
        details = window.details()
        places = [place for place, text in enumerate(details.texts) if text == 1]
        if places:
            sums = _sums(span[places], max_answer_tokens)
            logits.append(sums.flatten())
            candidates += _best(sums, [details.offsets[place] for place in places], top_k)
    null = min(float(span[0].sum()) for span in spans)
    if allow_no_answer or not candidates:
        logits.append(torch.tensor([null]))
        candidates.append((null, 0, 0))
    normaliser = float(torch.cat(logits).double().logsumexp(0))
    context = windows[0].sources[1] if len(windows[0].sources) > 1 else ""
    best: dict[tuple[int, int], float] = {}
    for logit, start, end in sorted(candidates, reverse=True):
        best.setdefault((start, end), float(torch.tensor(logit - normaliser).exp()))
    return [Answer(context[start:end], score, start, end) for (start, end), score in list(best.items())[:top_k]]


def _sums(span: Tensor, longest: int) -> Tensor:
    """`[T, T]`: the logit of each span from one token to another; -inf for those that end too early or too late."""
    n = len(span)
    lengths = torch.arange(n)[None, :] - torch.arange(n)[:, None]
    allowed = (lengths >= 0) & (lengths < longest)
    return torch.where(allowed, span[:, 0, None] + span[None, :, 1], -torch.inf)


def _best(sums: Tensor, offsets: Sequence[tuple[int, int]], top_k: int) -> list[tuple[float, int, int]]:
    """The likeliest spans of one window; as many more as its tokens may share characters with others."""
    values, places = sums.flatten().topk(min(2 * top_k, sums.numel()))
    n = len(sums)
    return [
        (value, offsets[place // n][0], offsets[place % n][1])
        for value, place in zip(values.tolist(), places.tolist(), strict=True)
        if value != -torch.inf
    ]
