"""Cutting the pair of a question and a long context into pairs of the question and each window of the context."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from models.errors import InvalidItems, Problem
from models.tasks.text import Details, Tokens, TruncationSide

DEFAULT_STRIDE = 128
"""Maximum number of tokens that neighbouring windows share unless a request says how many."""
MAX_WINDOWS = 128
"""Maximum number of windows of one text."""


def cut_windows(
    whole: Tokens, n_question: int, n_special: int, max_tokens: int, *, stride: int | None, side: TruncationSide
) -> list[Tokens]:
    """Return the windows of a pair of texts, the second of which is cut; see `TextCodec.windows`.

    Args:
        whole: the tokens of the pair, of any length.
        n_question: the number of tokens of the first text.
        n_special: the number of special tokens around and between the texts.
        max_tokens: the maximum number of tokens of a window, with those of the question and the special ones.
        stride: the number of tokens that neighbouring windows share, if it is given.
        side: the side at which windows that are too long are cut: the first window is at the other one.

    Raises:
        InvalidItems: the question leaves no room, the stride fills this room, or there are too many windows.
    """
    n_context = len(whole) - n_question - n_special
    n_free = max_tokens - n_special - n_question
    if n_free < 1:
        n_room = max(0, n_free - 1 + n_question)
        raise InvalidItems(
            Problem(f"the question has {n_question} tokens; there is room for {n_room} beside the context")
        )
    if n_context <= n_free:
        return [whole]
    if stride is None:
        stride = min(DEFAULT_STRIDE, max_tokens // 4, n_free // 2)
    elif stride >= n_free:
        detail = f"stride is {stride}; beside this question it must be below {n_free}"
        raise InvalidItems(Problem(detail, parameter="stride"))
    _check_number(n_context, n_free, stride)
    details = whole.details()
    first = details.texts.index(1)
    places = list(_places(n_context, n_free, n_free - stride))
    if side == "left":
        places = [(n_context - end, n_context - start) for start, end in places]
    return [_window(whole, details, first, first + n_context, start, end) for start, end in places]


def _check_number(n_context: int, n_free: int, stride: int) -> None:
    n_windows = 1 - (n_free - n_context) // (n_free - stride)
    if n_windows > MAX_WINDOWS:
        most = MAX_WINDOWS * n_free
        advice = "a shorter stride makes fewer" if n_context <= most else f"they hold {most} tokens at most"
        detail = f"the context of {n_context} tokens makes {n_windows} windows; the limit is {MAX_WINDOWS}"
        raise InvalidItems(Problem(f"{detail}: {advice}"))


def _places(n_context: int, n_free: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield the first token and the end of each window; the last one has the last token."""
    for start in range(0, n_context, step):
        end = min(start + n_free, n_context)
        yield start, end
        if end == n_context:
            return


def _window(whole: Tokens, details: Details, first: int, last: int, start: int, end: int) -> Tokens:
    """Return a window: the tokens `start` to `end` of the context, whose tokens are those from `first` to `last`."""
    parts = (slice(first), slice(first + start, first + end), slice(last, None))
    return Tokens(
        ids=np.concatenate([whole.ids[part] for part in parts]),
        type_ids=np.concatenate([whole.type_ids[part] for part in parts]),
        details=partial(join_details, details, parts),
        sources=whole.sources,
    )


def join_details(details: Details, parts: Sequence[slice]) -> Details:
    """Return the details of some parts of the tokens, in this order."""
    return Details(
        offsets=[offset for part in parts for offset in details.offsets[part]],
        texts=[text for part in parts for text in details.texts[part]],
    )
