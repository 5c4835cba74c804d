"""Make the mixed requests of the soak: documented examples, items of random content and size, and bad requests."""

import io
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from benchmarks.server.http_client import http_request
from benchmarks.server.requests import JSON_TYPE, NPY_TYPE

WORDS = tuple(
    "the old dog ran home and a small red bird sang in green trees by night while rain fell on every roof".split()  # noqa: SIM905 a text is easier to read
)
MEAN_LOG_WORDS, DEVIATION_LOG_WORDS, MAX_WORDS = 3.1, 0.6, 100
TEXT_MODELS = (("encode", "sentence-mini-en"), ("classify", "bert-sst2-en"), ("encode", "bert-mini-en"))
IMAGE_MODELS = (("reconstruct", "vanilla-ae-mnist"), ("encode", "vae-mnist"), ("denoise", "denoising-ae-mnist"))
WEIGHTS = (2, 5, 5, 1)
"""Relative numbers of examples, texts, images and bad requests."""


@dataclass(frozen=True)
class SoakRequest:
    """A request, and the statuses that its answer may have; 429 is always allowed."""

    path: str
    content: bytes
    statuses: frozenset[int] = frozenset({200})

    @classmethod
    def with_json(cls, path: str, body: Any, *statuses: int) -> "SoakRequest":
        """Return a request with a JSON body; statuses are by default 200 alone."""
        return cls.with_body(path, orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), JSON_TYPE, *statuses)

    @classmethod
    def with_body(cls, path: str, body: bytes, content_type: str, *statuses: int) -> "SoakRequest":
        """Return a request with any body; statuses are by default 200 alone."""
        content = http_request(path, body, {"content-type": content_type})
        return cls(path, content, frozenset(statuses or {200}))


BAD_REQUESTS = (
    SoakRequest.with_body("/encode", b"{", JSON_TYPE, 400),
    SoakRequest.with_json("/encode", {"model": "nobody", "inputs": ["x"]}, 404),
    SoakRequest.with_json("/reconstruct", {"model": "vanilla-ae-mnist", "inputs": [[1, 2, 3]]}, 422),
    SoakRequest.with_json("/classify", {"model": "bert-sst2-en", "inputs": ["word " * 3000]}, 422),
    SoakRequest.with_body("/encode", b"hello", "text/plain", 415),
    SoakRequest.with_body("/nothing", b"", JSON_TYPE, 404),
)


def examples_of(openapi: dict[str, Any]) -> list[SoakRequest]:
    """Return a request for each example of a JSON body in an OpenAPI document, but for paths that name a model."""
    return [
        SoakRequest.with_json(path, example["value"])
        for path, operations in openapi["paths"].items()
        if "{" not in path
        for example in operations.get("post", {})
        .get("requestBody", {})
        .get("content", {})
        .get(JSON_TYPE, {})
        .get("examples", {})
        .values()
    ]


def mixed_requests(examples: Sequence[SoakRequest], seed: int) -> Iterator[SoakRequest]:
    """Yield requests without end, the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311 not a secret
    kinds: list[Callable[[random.Random], SoakRequest]] = [
        lambda draw: draw.choice(examples),
        _text_request,
        _image_request,
        lambda draw: draw.choice(BAD_REQUESTS),
    ]
    while True:
        yield draw.choices(kinds, weights=WEIGHTS)[0](draw)


def random_text(draw: random.Random) -> str:
    """Return a text whose number of words is log-normal."""
    n = min(MAX_WORDS, max(1, round(draw.lognormvariate(MEAN_LOG_WORDS, DEVIATION_LOG_WORDS))))
    return " ".join(draw.choices(WORDS, k=n))


def _text_request(draw: random.Random) -> SoakRequest:
    task, model = draw.choice(TEXT_MODELS)
    texts = [random_text(draw) for _ in range(draw.randint(1, 4))]
    return SoakRequest.with_json(f"/{task}", {"model": model, "inputs": texts})


def _image_request(draw: random.Random) -> SoakRequest:
    images = np.random.default_rng(draw.getrandbits(32)).random((draw.randint(1, 8), 1, 28, 28), dtype=np.float32)
    task, model = draw.choice(IMAGE_MODELS)
    if draw.random() < 0.5:
        return SoakRequest.with_json(f"/{task}", {"model": model, "inputs": images.round(3)})
    file = io.BytesIO()
    np.save(file, images)
    return SoakRequest.with_body(f"/{task}?model={model}", file.getvalue(), NPY_TYPE)
