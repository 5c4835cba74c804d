"""Long work of one request, done a part at a time: its memory is bounded, and others are heard in between."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

_here = threading.local()


@contextmanager
def between_parts(call: Callable[[], None]) -> Iterator[None]:
    """Within it, `call` is called before each of the `split_by_tokens` this thread's work; what it raises ends that."""
    _here.call = call
    try:
        yield
    finally:
        _here.call = None


def split_by_tokens(lengths: Sequence[int], most: int) -> Iterator[slice]:
    """Neighbours that have at most so many tokens together, each text of `lengths`; one that has more stands alone."""
    call: Callable[[], None] | None = getattr(_here, "call", None)
    start = n_tokens = 0
    for place, length in enumerate((*lengths, most + 1)):
        if place > start and n_tokens + length > most:
            if call is not None:
                call()
            yield slice(start, place)
            start, n_tokens = place, 0
        n_tokens += length
