"""Converting the logits of the first and the last token of an answer to answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional

from models.cancellation import stop_if_abandoned
from models.codecs.text.words import trim, whole_words
from models.tasks.text import Details, Tokens

N_SPARE_SPANS = 10
"""Number of spans of a window that are considered beyond twice the number of answers that are asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The characters `start` to `end` of the context; an empty text if there is no answer."""

    answer: str
    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _WindowScores:
    """The probabilities of a window.

    Attributes:
        places: positions of the `T` tokens of the context in the window.
        spans: probability of the span from each of them to itself and those after it, `[T, longest answer]`; 0 where
            the window ends before.
        no_answer: probability that the window has no answer.
    """

    places: Sequence[int]
    spans: Tensor
    no_answer: float


def answers(
    windows: Sequence[Tokens], spans: Sequence[Tensor], *, top_k: int, max_answer_tokens: int, allow_no_answer: bool
) -> list[Answer]:
    """Return the `top_k` likeliest answers, best first.

    They are scored as by the pipeline `question-answering` of `transformers` 4.57. In each window, the first and the
    last token of the answer are chosen among the tokens of the context and the window's first token, which stands for
    no answer; the probability of a span is the product of both. The `2 top_k + 10` likeliest spans of each window are
    extended to whole words, and those with the same text, whatever its case, add up, to 1 at most. Their place is that
    of the likeliest. With `allow_no_answer`, the empty answer competes, with its least probability in any window.

    Args:
        windows: pairs of a question with each window of its context.
        spans: for each window the logits `[T, 2]` of its tokens as the first and the last of the answer.
        top_k: the maximum number of answers.
        max_answer_tokens: the maximum length of an answer in tokens.
        allow_no_answer: whether an answer may be that there is none.
    """
    found: dict[str, list[Answer]] = {}
    no_answer = 1.0
    for window, span in zip(windows, spans, strict=True):
        stop_if_abandoned()
        details = window.details()
        scores = _score_window(details, span, max_answer_tokens)
        no_answer = min(no_answer, scores.no_answer)
        for answer in _best_spans(window.sources[1], details, scores, 2 * top_k + N_SPARE_SPANS):
            found.setdefault(answer.answer.lower(), []).append(answer)
    merged = [_merge(same) for same in found.values()]
    if allow_no_answer or not merged:
        merged.append(Answer("", no_answer, 0, 0))
    best = sorted(merged, key=lambda answer: -answer.score)[:top_k]
    return [replace(answer, score=min(answer.score, 1.0)) for answer in best]


def _score_window(details: Details, span: Tensor, max_answer_tokens: int) -> _WindowScores:
    places = [place for place, text in enumerate(details.texts) if text == 1]
    has_start_token = details.texts[0] is None
    probs = span[[0] * has_start_token + places].double().softmax(0)
    first, last = probs[int(has_start_token) :].unbind(1)
    n_lengths = max(1, min(max_answer_tokens, len(places)))
    no_answer = float(probs[0].prod()) if has_start_token else 0.0
    following = functional.pad(last, (0, n_lengths)).unfold(0, n_lengths, 1)[: len(places)]
    return _WindowScores(places, first[:, None] * following, no_answer)


def _best_spans(context: str, details: Details, scores: _WindowScores, n: int) -> Iterator[Answer]:
    """Yield the `n` likeliest spans of a window, extended to whole words, except those without a character."""
    offsets, places = details.offsets, scores.places
    probs, indices = scores.spans.flatten().topk(min(n, scores.spans.numel()))
    for prob, index in zip(probs.tolist(), indices.tolist(), strict=True):
        if prob <= 0:
            continue
        first, length = divmod(index, scores.spans.shape[1])
        start, end = trim(context, offsets[places[first]][0], offsets[places[first + length]][1])
        if start < end:
            start, end = whole_words(context, start, end)
            yield Answer(context[start:end], prob, start, end)


def _merge(same: Sequence[Answer]) -> Answer:
    """Return the likeliest of these answers, which have the same text, with the sum of their scores."""
    best = max(same, key=lambda answer: answer.score)
    return replace(best, score=sum(answer.score for answer in same))
