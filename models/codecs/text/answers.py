"""Converting the logits of the first and the last token of an answer to answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.tasks.text import Tokens


@dataclass(frozen=True, slots=True)
class Answer:
    """The characters `start` to `end` of the context; an empty text if there is no answer."""

    answer: str
    score: float
    start: int
    end: int


def answers(
    windows: Sequence[Tokens], spans: Sequence[Tensor], *, top_k: int, max_answer_tokens: int, allow_no_answer: bool
) -> list[Answer]:
    """Return the `top_k` likeliest answers, best first.

    The score of an answer is a probability: the softmax of the sum of both logits over all spans of all windows and,
    with `allow_no_answer`, over the least sum of a window's first token, which means that there is no answer.
    Source: Devlin et al. 2019, section 4.3.

    Args:
        windows: pairs of a question with each window of its context.
        spans: for each window the logits `[T, 2]` of its tokens as the first and the last of the answer.
        top_k: the maximum number of answers.
        max_answer_tokens: the maximum length of an answer in tokens.
        allow_no_answer: whether an answer may be that there is none.
    """
    candidates: list[tuple[float, int, int]] = []
    logits: list[Tensor] = []
    for window, span in zip(windows, spans, strict=True):
        details = window.details()
        places = [place for place, text in enumerate(details.texts) if text == 1]
        if places:
            sums = _sum_logits(span[places], max_answer_tokens)
            logits.append(sums.flatten())
            candidates += _best_spans(sums, [details.offsets[place] for place in places], top_k)
    no_answer = min(float(span[0].sum()) for span in spans)
    if allow_no_answer or not candidates:
        logits.append(torch.tensor([no_answer]))
        candidates.append((no_answer, 0, 0))
    normaliser = float(torch.cat(logits).double().logsumexp(0))
    context = windows[0].sources[1] if len(windows[0].sources) > 1 else ""
    scores: dict[tuple[int, int], float] = {}
    for logit, start, end in sorted(candidates, reverse=True):
        scores.setdefault((start, end), float(torch.tensor(logit - normaliser).exp()))
    return [Answer(context[start:end], score, start, end) for (start, end), score in list(scores.items())[:top_k]]


def _sum_logits(span: Tensor, max_tokens: int) -> Tensor:
    """Return the logit of the span from each token to each other, `[T, T]`; -inf where it is too long or negative."""
    n = len(span)
    lengths = torch.arange(n)[None, :] - torch.arange(n)[:, None]
    allowed = (lengths >= 0) & (lengths < max_tokens)
    return torch.where(allowed, span[:, 0, None] + span[None, :, 1], -torch.inf)


def _best_spans(sums: Tensor, offsets: Sequence[tuple[int, int]], top_k: int) -> list[tuple[float, int, int]]:
    """Return the logits and characters of a window's likeliest spans.

    There are up to twice `top_k`, because different spans of tokens may have the same characters.
    """
    values, places = sums.flatten().topk(min(2 * top_k, sums.numel()))
    n = len(sums)
    return [
        (value, offsets[place // n][0], offsets[place % n][1])
        for value, place in zip(values.tolist(), places.tolist(), strict=True)
        if value != -torch.inf
    ]
