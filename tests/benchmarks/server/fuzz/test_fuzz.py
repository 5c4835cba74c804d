"""The fuzz: its requests are the same for the same seed, look valid, and those with a 5xx are found and kept."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.main import create_app
from app.settings import Settings
from benchmarks.server.fuzz.command import fuzz, keep, send_all, wrong_with
from benchmarks.server.fuzz.requests import FuzzRequests
from benchmarks.server.fuzz.schema_draws import SchemaDraws
from benchmarks.server.http_client import Answer
from tests.benchmarks.server.misbehaving import answering

OPENAPI = create_app(Settings()).openapi()
CARDS: list[dict[str, Any]] = [
    {
        "id": "vanilla-ae-mnist",
        "tasks": ["encode", "decode", "reconstruct", "classify", "denoise", "interpolate", "impute", "sample"],
        "family": "autoencoders/vanilla",
        "item": {"modality": "image", "shape": [1, 28, 28]},
        "latent_shape": [32],
    },
    {
        "id": "bert-mini-en",
        "tasks": ["encode", "fill_mask", "rerank", "tokenize", "generate", "translate", "answer", "classify"],
        "family": "transformers/bert",
        "item": {"modality": "text", "shape": [256]},
        "latent_shape": [],
    },
]


def test_the_same_seed_gives_the_same_requests() -> None:
    first, second, other = (
        [FuzzRequests(OPENAPI, CARDS, seed).request(number) for number in range(40)] for seed in (0, 0, 1)
    )
    assert first == second != other


def test_requests_cover_routes_and_content_types_and_change_no_models() -> None:
    requests = FuzzRequests(OPENAPI, CARDS, 0)
    found = [requests.request(number) for number in range(1200)]
    paths = {path for path, _ in found}
    routes = {path for path in OPENAPI["paths"] if "load" not in path and "repository" not in path}
    assert len(paths & routes) > 0.9 * len(routes)
    assert not any("load" in path for path in paths)
    content = b"".join(request for _, request in found)
    for kind in (b"application/json", b"application/x-npy", b"image/png", b"text/csv", b"multipart/form-data"):
        assert b"content-type: " + kind in content
    assert b"{id}" not in content
    assert b"{model}" not in content


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 3, "maximum": 5},
        {"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 6},
        {"type": "number", "minimum": 3.0, "maximum": 5.0},
        {"enum": [3, 5]},
        {"anyOf": [{"const": 3}, {"const": 5}]},
    ],
)
def test_values_are_within_the_limits_of_their_schema(schema: dict[str, Any]) -> None:
    draw, draws = random.Random(0), SchemaDraws({})
    values = {draws.value(schema, draw) for _ in range(200)}
    assert min(values) >= 3
    assert max(values) <= 5
    assert {3, 5} <= values


def test_required_properties_are_always_there_and_references_are_followed() -> None:
    document = {"a": {"type": "object", "required": ["x"], "properties": {"x": {"$ref": "#/b"}, "y": {"type": "null"}}}}
    draws = SchemaDraws(
        {**document, "b": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2}}
    )
    draw = random.Random(0)
    values = [draws.value({"$ref": "#/a"}, draw) for _ in range(50)]
    assert all(len(value["x"]) == 2 for value in values)
    assert {"y" in value for value in values} == {True, False}


@pytest.mark.parametrize(
    ("status", "body", "wrong"),
    [
        (200, b"", False),
        (422, b"{}", False),
        (504, b"{}", False),
        (404, b"x", True),
        (500, b"{}", True),
        (503, b"{}", True),
    ],
)
def test_a_5xx_is_wrong_and_so_is_an_error_without_json(status: int, body: bytes, wrong: bool) -> None:
    assert (wrong_with(Answer(status, b"", body)) is not None) == wrong


def test_requests_that_fail_are_kept(tmp_path: Path) -> None:
    requests = FuzzRequests(OPENAPI, CARDS, 0)
    with answering(lambda path: (500 if path.startswith("/reconstruct") else 200, b"{}")) as port:
        result = asyncio.run(send_all(port, requests, 300, lambda number: None))
    assert result.n_requests == 300
    assert result.failures
    assert {path for path, _, _ in result.failures} == {"/reconstruct"}
    (first, *_) = keep(result, tmp_path / "kept")
    assert first.read_bytes().startswith(b"POST /reconstruct")


def test_the_command_finds_nothing_at_a_real_server() -> None:
    command = CliRunner().invoke(fuzz, ["--requests", "150", "--models", "vanilla-ae-mnist,sentence-mini-en", "--json"])
    found = json.loads(command.stdout)
    assert found["requests"] == 150
    assert found["failures"] == []
    assert command.exit_code == 0
    assert found["answers_by_status"]["200"] > 20
