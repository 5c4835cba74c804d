"""Texts that grow when they are normalised, that are one long text, or of which a task makes many windows."""

from collections.abc import Callable
from typing import Any

from benchmarks.server.hostile.case import Case
from benchmarks.server.hostile.cases import sends
from benchmarks.server.hostile.visitor import Visitor, json_request

LIGATURE = "\ufdfa"
"""A character that compatibility normalisation turns into 18."""
SENTENCE = "the quick brown fox jumps over the lazy dog. "
LONG_TEXT = (SENTENCE * 24_000)[: 2**20]
NO_CUT, CUT = {"truncate": False}, {"truncate": True}


def _of(
    path: str, model: str, inputs: list[Any], parameters: dict[str, Any] | None = None, **headers: str
) -> Callable[[], bytes]:
    body = {"model": model, "inputs": inputs, "parameters": parameters or {}}
    return lambda: json_request(path, body, **headers)


def _windows(n: int, **headers: str) -> Callable[[], bytes]:
    """Return the maker of a request to `/answer` whose contexts each need many windows."""
    pair = {"question": "q", "context": "a " * 378}
    return _of("/answer", "bert-qa-en", [pair] * n, {"stride": 251}, **headers)


def _one_text_repeatedly(visitor: Visitor) -> None:
    """Send one text of 100 kB thirty times over, from one client."""
    request = json_request("/encode", {"model": "bert-mini-en", "inputs": [LONG_TEXT[:100_000]], "parameters": CUT})
    with visitor.watch():
        for _ in range(30):
            visitor.ask(request)


IMPATIENT = {"x_timeout_ms": "100"}
CASES = (
    *(
        sends(f"ligatures-{model.partition('-')[0]}-{n}", _of("/classify", model, [LIGATURE * n], CUT), models=(model,))
        for model, n in (
            ("albert-sst2-en", 50_000),
            ("albert-sst2-en", 200_000),
            ("albert-sst2-en", 2**20),
            ("bert-sst2-en", 2**20),
        )
    ),
    sends(
        "ligatures-4",
        _of("/classify", "albert-sst2-en", [LIGATURE * 2**20], CUT),
        models=("albert-sst2-en",),
        at_once=4,
    ),
    sends("ligatures-many", _of("/encode", "bert-mini-en", [LIGATURE * 5000] * 200, CUT), models=("bert-mini-en",)),
    sends("accents", _of("/encode", "bert-mini-en", ["a" + "\u0301" * (2**20 - 1)], CUT), models=("bert-mini-en",)),
    sends("one-text-1mb", _of("/encode", "bert-mini-en", [LONG_TEXT], CUT), models=("bert-mini-en",)),
    sends("one-text-1mb-10", _of("/encode", "bert-mini-en", [LONG_TEXT], CUT), models=("bert-mini-en",), in_a_row=10),
    sends(
        "two-texts",
        _of("/encode", "bert-mini-en", [LONG_TEXT[: 2**19], LONG_TEXT[2**19 :]], NO_CUT),
        models=("bert-mini-en",),
    ),
    sends("one-word-1mb", _of("/encode", "bert-mini-en", ["a" * 2**20], CUT), models=("bert-mini-en",), at_once=2),
    sends("spaces-1mb", _of("/encode", "bert-mini-en", [" " * 2**20], CUT), models=("bert-mini-en",), at_once=2),
    sends("tokenize-1mb", _of("/tokenize", "gpt-mini-en", [LONG_TEXT]), models=("gpt-mini-en",), at_once=2),
    sends("punctuation", _of("/encode", "bert-mini-en", ["a,b.c " * 10_000]), models=("bert-mini-en",), in_a_row=10),
    Case(name="one-text-100kb-30", attack=_one_text_repeatedly, models=("bert-mini-en",)),
    sends("windows-64kb", _windows(81, **IMPATIENT), models=("bert-qa-en",), in_a_row=2),
    sends("windows-64kb-30", _windows(81, **IMPATIENT), models=("bert-qa-en",), in_a_row=30),
    sends("windows-512", _windows(512, x_timeout_ms="5000"), models=("bert-qa-en",)),
    sends(
        "windows-one-context",
        _of("/answer", "bert-qa-en", [{"question": "q", "context": "a,b.c " * 10_000}]),
        models=("bert-qa-en",),
        in_a_row=10,
    ),
    sends(
        "candidates",
        _of("/rerank", "bert-mini-en", [{"query": "q", "candidates": ["a " * 100] * 1024}], CUT),
        models=("bert-mini-en",),
    ),
    sends(
        "lone-surrogates",
        lambda: json_request(
            "/fill-mask", b'{"model":"bert-mini-en","inputs":["a [MASK]"],"parameters":{"targets":["\\ud800"]}}'
        ),
        models=("bert-mini-en",),
    ),
    sends("huge-latents", _of("/decode", "vae-mnist", [[1e30] * 40] * 3), models=("vae-mnist",)),
    sends(
        "many-prompts",
        _of(
            "/generate",
            "gpt-mini-en",
            ["Once"] * 1024,
            {"max_new_tokens": 250, "do_sample": True, "seed": 1},
            x_timeout_ms="10000",
        ),
        models=("gpt-mini-en",),
    ),
    sends(
        "many-beams",
        _of(
            "/translate",
            "transformer-multi30k-en-de",
            ["a man rides a bike in the park"] * 1024,
            {"num_beams": 32, "max_new_tokens": 100},
            x_timeout_ms="10000",
        ),
        models=("transformer-multi30k-en-de",),
    ),
    sends(
        "gibbs-4",
        lambda: json_request(
            "/sample", {"model": "dbn-ae-mnist", "parameters": {"n": 1024, "sampler": "gibbs"}}, x_timeout_ms="10000"
        ),
        models=("dbn-ae-mnist",),
        at_once=4,
    ),
    sends(
        "score-1024",
        _of("/score-text", "bert-mini-en", ["a " * 240] * 1024, x_timeout_ms="10000"),
        models=("bert-mini-en",),
    ),
)
