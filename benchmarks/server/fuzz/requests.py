"""Generate requests that look valid for every route of a server: each is the same for the same seed and number."""

import io
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from benchmarks.server.fuzz.schema_draws import ODD_NUMBERS, SchemaDraws, odd_text
from benchmarks.server.http_client import http_request
from benchmarks.server.model_inputs import ModelInputs
from benchmarks.server.requests import JSON_TYPE, NPY_TYPE

TIMEOUT_MS = 2000
"""Time limit that every request sets, so that none holds up the others for long."""
ADMINISTRATIVE = ("/load", "/unload", "/repository/", "/fit")
"""What paths contain that would change which models are there."""
TEXT_FIELDS = frozenset("input inputs prompt texts query documents text sentences source_sentence".split())  # noqa: SIM905
FILE_KINDS = {
    "image/png": ("PNG", ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    "image/jpeg": ("JPEG", ("L", "RGB", "CMYK")),
    "image/webp": ("WEBP", ("L", "RGB", "RGBA")),
}
"""By media type: the format of Pillow, and the modes that it can write."""
ACCEPTS = (JSON_TYPE, NPY_TYPE, "image/png", "text/csv", "application/x-ndjson", "*/*", "text/event-stream")
DTYPES = ("<f4", "<f8", "<f2", "|u1", "<i8", ">f4", "|b1")
PIPELINES = (
    *("feature-extraction", "text-classification", "fill-mask", "token-classification", "question-answering"),
    *("text-generation", "translation", "sentence-similarity", "image-classification", "image-to-image"),
)


class FuzzRequests:
    """Generates requests from an OpenAPI document and the cards of the models that are served."""

    def __init__(self, openapi: Mapping[str, Any], cards: Sequence[dict[str, Any]], seed: int) -> None:
        self._cards, self._seed = cards, seed
        self._draws = SchemaDraws(openapi)
        self._operations = [
            (path, method, operation)
            for path, item in openapi["paths"].items()
            for method, operation in item.items()
            if method in ("get", "post") and not any(part in path for part in ADMINISTRATIVE)
        ]
        self._task_paths = {path for path, _, _ in self._operations if path.count("/") == 1}
        is_post = {path: method == "post" for path, method, _ in self._operations}
        self._weights = [4.0 if is_post[path] else 0.3 for path, _, _ in self._operations]

    def request(self, number: int) -> tuple[str, bytes]:
        """Return the path and the bytes of a request."""
        draw = random.Random(f"{self._seed}-{number}")  # noqa: S311 not a secret
        ((path, method, operation),) = draw.choices(self._operations, self._weights)
        card = draw.choice(self._serving(path))
        place = _filled(path, card, draw)
        headers = {"x-timeout-ms": str(TIMEOUT_MS)}
        if draw.random() < 0.2:
            headers["accept"] = draw.choice(ACCEPTS)
        if method == "get":
            return path, http_request(place, headers=headers, method="GET")
        content = operation["requestBody"]["content"]
        kind = JSON_TYPE if JSON_TYPE in content and draw.random() < 0.7 else draw.choice(list(content))
        if kind == JSON_TYPE:
            body = json.dumps(self._json_body(path, content[kind]["schema"], card, draw)).encode()
        else:
            body, kind = _file_body(kind, card, draw)
            place += self._query(operation, card, draw)
        return path, http_request(place, body, {"content-type": kind, **headers})

    def _serving(self, path: str) -> Sequence[dict[str, Any]]:
        """Return the cards of the models that serve the task of a path, or all."""
        task = path.removeprefix("/").replace("-", "_")
        return [card for card in self._cards if task in card["tasks"]] or self._cards

    def _json_body(self, path: str, schema: Mapping[str, Any], card: dict[str, Any], draw: random.Random) -> Any:
        """Return a body of which what a schema cannot say comes from the card: the model and its inputs."""
        branch = self._branch(schema, card, draw)
        body = self._draws.value(branch, draw)
        if not isinstance(body, dict):
            return body
        if "model" in self._draws.resolve(branch).get("properties", {}) and draw.random() < 0.95:
            body["model"] = card["id"]
        inputs = ModelInputs(card, draw.getrandbits(32))
        if path in self._task_paths and "inputs" in body and draw.random() < 0.85:
            given = inputs.of_task(path.removeprefix("/"), draw.choice((1, 1, 2, 3)), draw.choice((None, 1, 5)))
            body["inputs"] = _made_odd(given, draw)
        elif path not in self._task_paths:
            for name in sorted(TEXT_FIELDS & body.keys()):
                if draw.random() < 0.7:
                    texts = [*inputs.texts(1, 5), odd_text(draw)] if inputs.is_text else [odd_text(draw)]
                    body[name] = texts if isinstance(body[name], list) else texts[0]
        return body

    def _branch(self, schema: Mapping[str, Any], card: dict[str, Any], draw: random.Random) -> Mapping[str, Any]:
        """Return the alternative of a schema that fits a model's kind of input, mostly."""
        branches = self._draws.resolve(schema).get("anyOf")
        if not branches:
            return schema
        is_text = card["item"]["modality"] == "text"
        fitting = [each for each in branches if bool(re.search("Text|Pairs", each.get("$ref", ""))) == is_text]
        return draw.choice(fitting if fitting and draw.random() < 0.95 else branches)

    def _query(self, operation: Mapping[str, Any], card: dict[str, Any], draw: random.Random) -> str:
        given = {"model": card["id"]} if draw.random() < 0.9 else {}
        for parameter in map(self._draws.resolve, operation.get("parameters", ())):
            if parameter["in"] == "query" and parameter["name"] != "model" and draw.random() < 0.25:
                value = self._draws.value(parameter["schema"], draw)
                given[parameter["name"]] = value if isinstance(value, str) else json.dumps(value)
        pairs = "&".join(f"{name}={quote(value, errors='replace')}" for name, value in given.items())
        return f"?{pairs}" if pairs else ""


def _filled(path: str, card: dict[str, Any], draw: random.Random) -> str:
    """Return a path with values in place of its parameters."""
    values = {"pipeline": draw.choice(PIPELINES), "version": draw.choice(("1", "2", "x"))}
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], card["id"]), path)


def _made_odd(inputs: Any, draw: random.Random) -> Any:
    """Return inputs of which sometimes one value is odd but of the right kind, or one item is missing or repeated."""
    if not isinstance(inputs, list) or not inputs or draw.random() < 0.4:
        return inputs
    chance = draw.random()
    if chance < 0.1:
        return inputs[0]
    if chance < 0.15:
        return []
    if chance < 0.2:
        return inputs * 3
    place: Any = inputs
    while isinstance(place[(key := _key_of(place, draw))], list | dict) and place[key]:
        place = place[key]
    old = place[key]
    place[key] = odd_text(draw) if isinstance(old, str) else draw.choice(ODD_NUMBERS) if draw.random() < 0.9 else None
    return inputs


def _key_of(container: Any, draw: random.Random) -> Any:
    return draw.choice(list(container)) if isinstance(container, dict) else draw.randrange(len(container))


def _file_body(kind: str, card: dict[str, Any], draw: random.Random) -> tuple[bytes, str]:
    """Return a body that is no JSON, and its content type."""
    makers: dict[str, Callable[[dict[str, Any], random.Random], bytes]] = {NPY_TYPE: _npy, "text/csv": _csv}
    if kind in makers:
        return makers[kind](card, draw), kind
    if kind in FILE_KINDS:
        return _picture(kind, draw), kind
    if kind == "multipart/form-data":
        return _parts(draw), "multipart/form-data; boundary=bbb"
    return odd_text(draw).encode(errors="replace") * draw.randrange(1, 50), kind


def _npy(card: dict[str, Any], draw: random.Random) -> bytes:
    shape = list(card["item"]["shape"])
    if draw.random() < 0.3:
        shape[draw.randrange(len(shape))] = draw.choice((0, 1, 2, 13, 140, 785))
    shape = draw.choice(([draw.randrange(4), *shape], [2, int(np.prod(shape))], shape))
    values = np.random.default_rng(draw.getrandbits(32)).random(shape)
    if values.size and draw.random() < 0.3:
        values.flat[draw.randrange(values.size)] = draw.choice((*ODD_NUMBERS, float("nan"), float("inf")))
    file = io.BytesIO()
    with np.errstate(all="ignore"):
        array = values.astype(draw.choice(DTYPES))
    np.save(file, np.asfortranarray(array) if draw.random() < 0.1 else array)
    return file.getvalue()


def _csv(card: dict[str, Any], draw: random.Random) -> bytes:
    n = int(np.prod(card["item"]["shape"])) + draw.choice((0, 0, 0, 1, -1))
    rows = [[draw.choice((0, 1, 0.5, *ODD_NUMBERS[:4], "", " 1")) for _ in range(n)] for _ in range(draw.randrange(4))]
    lines = draw.choice(("\n", "\r\n")).join(",".join(map(str, row)) for row in rows)
    return (lines + draw.choice(("", "\n", "\n\n"))).encode()


def _picture(kind: str, draw: random.Random) -> bytes:
    name, modes = FILE_KINDS[kind]
    size = draw.choice(((28, 28), (1, 1), (32, 32), (7, 300), (300, 1), (64, 48)))
    values = np.random.default_rng(draw.getrandbits(32)).integers(0, 256, size[::-1], np.uint8)
    mode = draw.choice(modes)
    image = Image.new(mode, size) if mode == "I;16" else Image.fromarray(values).convert(mode)
    file = io.BytesIO()
    image.save(file, name)
    data = file.getvalue()
    return data[: draw.randrange(len(data))] if draw.random() < 0.1 else data


def _parts(draw: random.Random) -> bytes:
    parts = b"".join(
        b'--bbb\r\nContent-Disposition: form-data; name="files"; filename="%d"\r\n\r\n%s\r\n'
        % (number, _picture(draw.choice(list(FILE_KINDS)), draw))
        for number in range(draw.randrange(4))
    )
    return parts + b"--bbb--\r\n"
