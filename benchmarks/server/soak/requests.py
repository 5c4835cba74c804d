"""Make the requests of the soak: small ones for every task of every model and dialect, examples, and bad requests."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from benchmarks.server.http_client import http_request
from benchmarks.server.model_inputs import ModelInputs
from benchmarks.server.requests import JSON_TYPE, NPY_TYPE

N_VARIANTS = 2
"""Requests of each kind for each model, with different inputs."""
N_WORDS, N_DIGITS = 8, 2
PARAMETERS: dict[str, dict[str, Any]] = {
    "sample": {"seed": 3},
    "generate": {"max_new_tokens": 5, "do_sample": True, "seed": 3},
    "translate": {"max_new_tokens": 5, "num_beams": 2},
    "impute": {"iterations": 2},
    "interpolate": {"steps": 2},
    "denoise": {"noise": {"type": "gaussian", "level": 0.2}, "seed": 3},
    "attend": {"layers": [0], "heads": [0]},
    "decode": {"format": "png"},
}
"""Parameters by task; other tasks have their defaults."""
SENTENCE_PARAMETERS: dict[str, dict[str, Any]] = {
    **{task: parameters for task, parameters in PARAMETERS.items() if task in ("sample", "interpolate")},
    "denoise": {"word_noise": {"moved": 2}, "seed": 3},
}
"""The same for models whose items are sentences."""
SOUND_PARAMETERS: dict[str, dict[str, Any]] = {"denoise": {"snr_db": 10.0, "seed": 3}}
"""The same for models of sounds."""
PATHS_IN_PARTS = ("{", "/load", "/unload", "/repository/index")
"""What paths contain whose examples are not sent: those with parameters, those that change the server, and those whose
answers change while a fault lasts."""


@dataclass(frozen=True, eq=False)
class SoakRequest:
    """A request, which is sent with an id of its own each time, and the statuses that its answer may have."""

    name: str
    head: bytes
    body: bytes = b""
    statuses: frozenset[int] = frozenset({200})
    model: str | None = None

    def with_id(self, request_id: str) -> bytes:
        """Return the bytes to send."""
        return b"%s\r\nx-request-id: %s\r\n\r\n%s" % (self.head, request_id.encode(), self.body)


def request_of(
    path: str,
    body: Any = None,
    *,
    content_type: str = JSON_TYPE,
    statuses: Sequence[int] = (200,),
    model: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> SoakRequest:
    """Return a request: POST with a body, which is JSON unless it is bytes, or GET without one."""
    if body is None:
        return SoakRequest(f"GET {path}", http_request(path, method="GET")[:-4], b"", frozenset(statuses), model)
    content = body if isinstance(body, bytes) else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    head = http_request(path, content, {"content-type": content_type, **(headers or {})})
    return SoakRequest(path, head[: -len(content) - 4 if content else -4], content, frozenset(statuses), model)


UNKNOWN_MODELS = (
    request_of("/encode", {"model": "nobody", "inputs": ["x"]}, statuses=[404]),
    request_of("/v1/embeddings", {"model": "nobody", "input": "x"}, statuses=[404]),
)
BAD_REQUESTS = (
    *UNKNOWN_MODELS,
    request_of("/encode", b"{", statuses=[400]),
    request_of("/reconstruct", {"model": "vanilla-ae-mnist", "inputs": [[1, 2, 3]]}, statuses=[422]),
    request_of("/classify", {"model": "bert-sst2-en", "inputs": ["word " * 3000]}, statuses=[422]),
    request_of("/encode", {"model": "bert-mini-en", "inputs": ["x"], "parameters": {"poling": 1}}, statuses=[422]),
    request_of("/encode", b"hello", content_type="text/plain", statuses=[415]),
    request_of("/nothing", b"", statuses=[404]),
    request_of("/reconstruct", b"\x89PNG\r\n\x1a\n", content_type="image/png", statuses=[400, 422]),
)


def examples_of(openapi: Mapping[str, Any]) -> list[SoakRequest]:
    """Return a request for each example of a JSON body in an OpenAPI document, but for paths that name a model."""
    return [
        request_of(path, example["value"], model=example["value"].get("model"))
        for path, operations in openapi["paths"].items()
        if not any(part in path for part in PATHS_IN_PARTS)
        for example in operations.get("post", {})
        .get("requestBody", {})
        .get("content", {})
        .get(JSON_TYPE, {})
        .get("examples", {})
        .values()
        if isinstance(example["value"], dict)
    ]


def task_requests(card: dict[str, Any], seed: int) -> Iterator[SoakRequest]:
    """Yield small requests for each task of a model, and for the dialects that serve it."""
    inputs = ModelInputs(card, seed, N_DIGITS)
    for _ in range(N_VARIANTS):
        for task in inputs.tasks:
            if task != "decompress":
                body = {"model": inputs.model, "parameters": _parameters(inputs, task)}
                given = inputs.of_task(task, 1, N_WORDS)
                yield request_of(f"/{task}", body if given is None else {**body, "inputs": given}, model=inputs.model)
        if not inputs.is_text and not inputs.is_sound:
            yield _npy_request(inputs)
        for path, body in _dialect_bodies(inputs):
            yield request_of(path, body, model=inputs.model)


def _parameters(inputs: ModelInputs, task: str) -> dict[str, Any]:
    modality = inputs.card["item"]["modality"]
    parameters = {"sentence": SENTENCE_PARAMETERS, "audio": SOUND_PARAMETERS}.get(modality, PARAMETERS).get(task, {})
    return {} if task == "decode" and modality != "image" else parameters


def _npy_request(inputs: ModelInputs) -> SoakRequest:
    file = io.BytesIO()
    np.save(file, np.array(inputs.items(2), np.float32))
    path = f"/reconstruct?model={inputs.model}"
    return request_of(path, file.getvalue(), content_type=NPY_TYPE, model=inputs.model, headers={"accept": NPY_TYPE})


def _dialect_bodies(inputs: ModelInputs) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield paths and bodies of the dialects that a Transformer is served in."""
    if inputs.card["item"]["modality"] != "text":
        return
    model, (text, other) = inputs.model, inputs.texts(2, N_WORDS)
    yield "/v1/embeddings", {"model": model, "input": [text, other]}
    yield "/v2/embed", {"model": model, "texts": [text], "input_type": "search_query", "embedding_types": ["float"]}
    yield "/v2/rerank", {"model": model, "query": text, "documents": [other, text]}
    yield "/api/embed", {"model": model, "input": text}
    yield f"/tei/{model}/embed", {"inputs": text}
    yield f"/tei/{model}/tokenize", {"inputs": text}
    yield f"/hf/{model}/pipeline/feature-extraction", {"inputs": text}
    yield (
        f"/v2/models/{model}/infer",
        {
            "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}],
            "outputs": [{"name": "embedding"}],
        },
    )
    if "classify" in inputs.tasks:
        yield f"/hf/{model}/pipeline/text-classification", {"inputs": text}
        yield f"/tei/{model}/predict", {"inputs": text}
    if "generate" in inputs.tasks and "translate" not in inputs.tasks:
        yield "/v1/completions", {"model": model, "prompt": text, "max_tokens": 4, "seed": 3}
        options = {"num_predict": 4, "seed": 3}
        yield "/api/generate", {"model": model, "prompt": text, "stream": False, "options": options}


SERVICE_REQUESTS = tuple(request_of(path) for path in ("/health/live", "/v2", "/api/version"))
"""Requests that no model computes, and whose answers do not tell what the models do."""


def pool_of(
    openapi: Mapping[str, Any], cards: Sequence[dict[str, Any]], seed: int = 0, *, examples: bool = True
) -> list[SoakRequest]:
    """Return all requests of the soak, the same for the same seed.

    Examples and bad requests that name a model, or leave it to the server, need all shipped models.
    """
    tasks = [request for number, card in enumerate(cards) for request in task_requests(card, seed + number)]
    return [*tasks, *SERVICE_REQUESTS, *([*examples_of(openapi), *BAD_REQUESTS] if examples else UNKNOWN_MODELS)]


@dataclass
class Mixture:
    """Draws requests with relative frequencies that make the quick ones common."""

    requests: Sequence[SoakRequest]
    weights: Sequence[float]
    cumulative: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.cumulative = np.cumsum(self.weights).tolist()

    def next(self, choices: Callable[..., list[SoakRequest]]) -> SoakRequest:
        """Return a request, drawn by the `choices` of a random generator."""
        return choices(self.requests, cum_weights=self.cumulative)[0]
