"""Checks requests to generate texts, and fills in what they leave to the model."""

import reprlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from models.errors import InvalidItems, Problem
from models.generation.generator import Generator
from models.tasks.generation import GenerateRequest

MAX_OCCURRENCE_PENALTY = 2.0
"""Largest absolute value of the presence penalty and of the frequency penalty."""
PENALTIES = f"-{MAX_OCCURRENCE_PENALTY} to {MAX_OCCURRENCE_PENALTY}"

LIMITS: tuple[tuple[str, str, Callable[[GenerateRequest], bool]], ...] = (
    ("temperature", "positive", lambda r: r.temperature > 0),
    ("top_p", "above 0 and at most 1", lambda r: r.top_p is None or 0 < r.top_p <= 1),
    ("top_k", "at least 1", lambda r: r.top_k is None or r.top_k >= 1),
    ("min_p", "0 to 1", lambda r: r.min_p is None or 0 <= r.min_p <= 1),
    ("typical_p", "above 0 and at most 1", lambda r: r.typical_p is None or 0 < r.typical_p <= 1),
    ("repetition_penalty", "positive", lambda r: r.repetition_penalty > 0),
    ("presence_penalty", PENALTIES, lambda r: abs(r.presence_penalty) <= MAX_OCCURRENCE_PENALTY),
    ("frequency_penalty", PENALTIES, lambda r: abs(r.frequency_penalty) <= MAX_OCCURRENCE_PENALTY),
    ("no_repeat_ngram_size", "at least 0", lambda r: r.no_repeat_ngram_size >= 0),
    ("bad_words", "a list of words of one token or more", lambda r: all(r.bad_words)),
    ("num_beams", "1 where do_sample is true", lambda r: r.num_beams == 1 or not r.do_sample),
    ("n", "at most num_beams, of which the best are answered", lambda r: r.num_beams == 1 or r.n <= r.num_beams),
)
"""Parameters of a complete request, what each must be, and whether it is."""


def complete_request(model: Generator[Any], request: GenerateRequest) -> GenerateRequest:
    """Return the request with its prompt truncated and its `max_new_tokens` set.

    Raises:
        InvalidItems: the prompt and `max_new_tokens` exceed the context, or a parameter is out of range.
    """
    wanted = request.default_new_tokens if request.max_new_tokens is None else request.max_new_tokens
    if request.truncate:
        request = request.truncated(model.n_positions, is_source=model.reads_source)
    prompt = request.tokens
    model.check_lengths([prompt])
    most = model.max_new_tokens(prompt)
    n_new = min(wanted, most) if request.max_new_tokens is None else wanted
    if not 1 <= n_new <= most:
        detail = f"after a text of {len(prompt)} tokens this model has room for {most}"
        raise _refusal("max_new_tokens", f"max_new_tokens is {wanted}; {detail}")
    if request.min_new_tokens > n_new:
        detail = f"it must not exceed max_new_tokens, {n_new}"
        raise _refusal("min_new_tokens", f"min_new_tokens is {request.min_new_tokens}; {detail}")
    for name, needed, is_met in LIMITS:
        if not is_met(request):
            raise _refusal(name, f"{name} is {reprlib.repr(getattr(request, name))}; it must be {needed}")
    last = model.output_vocab_size - 1
    for token in (token for word in request.bad_words for token in word):
        if not 0 <= token <= last:
            raise _refusal("bad_words", f"bad_words has the token {token}; this model's are 0 to {last}")
    return replace(request, max_new_tokens=n_new)


def _refusal(parameter: str, detail: str) -> InvalidItems:
    return InvalidItems(Problem(detail, parameter=parameter))
