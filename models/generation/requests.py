"""Checks requests to generate texts, and fills in what they leave to the model."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from models.errors import InvalidItems, Problem
from models.generation.generator import Generator
from models.tasks.generation import DEFAULT_NEW_TOKENS, GenerateRequest

MAX_OCCURRENCE_PENALTY = 2.0
"""Largest absolute value of the presence penalty and of the frequency penalty."""

LIMITS: dict[str, Callable[[GenerateRequest], bool]] = {
    "temperature is {0.temperature}; it must be positive": lambda r: r.temperature > 0,
    "top_p is {0.top_p}; it must be above 0 and at most 1": lambda r: r.top_p is None or 0 < r.top_p <= 1,
    "top_k is {0.top_k}; it must be at least 1": lambda r: r.top_k is None or r.top_k >= 1,
    "min_p is {0.min_p}; it must be 0 to 1": lambda r: r.min_p is None or 0 <= r.min_p <= 1,
    "typical_p is {0.typical_p}; it must be above 0 and at most 1": lambda r: (
        r.typical_p is None or 0 < r.typical_p <= 1
    ),
    "repetition_penalty is {0.repetition_penalty}; it must be positive": lambda r: r.repetition_penalty > 0,
    f"presence_penalty is {{0.presence_penalty}}; it must be -{MAX_OCCURRENCE_PENALTY} to {MAX_OCCURRENCE_PENALTY}": (
        lambda r: abs(r.presence_penalty) <= MAX_OCCURRENCE_PENALTY
    ),
    f"frequency_penalty is {{0.frequency_penalty}}; it must be -{MAX_OCCURRENCE_PENALTY} to {MAX_OCCURRENCE_PENALTY}": (
        lambda r: abs(r.frequency_penalty) <= MAX_OCCURRENCE_PENALTY
    ),
    "no_repeat_ngram_size is {0.no_repeat_ngram_size}; it must be at least 0": lambda r: r.no_repeat_ngram_size >= 0,
    "bad_words has a word without tokens; each must have at least one": lambda r: all(r.bad_words),
    "min_new_tokens is {0.min_new_tokens}; it must not exceed max_new_tokens, {0.max_new_tokens}": lambda r: (
        r.max_new_tokens is None or r.min_new_tokens <= r.max_new_tokens
    ),
    "num_beams above 1 is a search, and do_sample a draw; choose one: num_beams is {0.num_beams}": lambda r: (
        r.num_beams == 1 or not r.do_sample
    ),
    "n is {0.n}; it must not exceed num_beams, {0.num_beams}, of which the best are answered": lambda r: (
        r.num_beams == 1 or r.n <= r.num_beams
    ),
}
"""Conditions of a complete request, by the error message of a request that does not meet them."""


def complete_request(model: Generator[Any], request: GenerateRequest) -> GenerateRequest:
    """Return the request with its prompt truncated and its `max_new_tokens` set.

    Raises:
        InvalidItems: the prompt and `max_new_tokens` exceed the context, or a parameter is out of range.
    """
    wanted = DEFAULT_NEW_TOKENS if request.max_new_tokens is None else request.max_new_tokens
    prompt = model.truncate(request.tokens, wanted) if request.truncate else request.tokens
    model.check_lengths([prompt])
    most = model.max_new_tokens(prompt)
    n_new = min(wanted, most) if request.max_new_tokens is None else wanted
    if not 1 <= n_new <= most:
        detail = f"after a text of {len(prompt)} tokens this model has room for {most}"
        raise InvalidItems(Problem(f"max_new_tokens is {wanted}; {detail}"))
    complete = replace(request, tokens=prompt, max_new_tokens=n_new)
    for message, is_met in LIMITS.items():
        if not is_met(complete):
            raise InvalidItems(Problem(message.format(complete)))
    last = model.output_vocab_size - 1
    for token in (token for word in request.bad_words for token in word):
        if not 0 <= token <= last:
            raise InvalidItems(Problem(f"bad_words has the token {token}; this model's are 0 to {last}"))
    return complete
