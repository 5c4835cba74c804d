"""Where in a context the answer of a question may begin and end."""

from collections.abc import Sequence
from itertools import chain

from models.ops.devices import to_cpu
from models.tasks.text import AnswerRequest, AnswerResult
from models.text.text_encoder import TextEncoder, required
from models.text.text_model import read_in_parts


def answer(model: TextEncoder, requests: Sequence[AnswerRequest]) -> list[AnswerResult]:
    """Return, for each window of each request, the logits of each token as the answer's first and as its last.

    Raises:
        InvalidItems: a window is empty or too long.
    """
    head = required(model.span_head)
    windows = list(chain.from_iterable(request.windows for request in requests))
    parts = (batch.by_text(to_cpu(head(hidden))) for batch, hidden in read_in_parts(model, windows))
    spans = chain.from_iterable(parts)
    return [AnswerResult(spans=tuple(next(spans) for _ in request.windows)) for request in requests]
