"""Requests claim their memory, are refused beyond the limit, and give all back, however they end."""

import asyncio
import gzip
import io
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.concurrency.request_memory import PART_FOR_SMALL, SMALL_BYTES, RequestMemory
from app.registry.memory import MIN_REQUEST_BYTES
from app.settings import Settings
from tests.app.metrics.traffic import BERT, GPT, PIXELS, write_models
from tests.app.server import Served
from tests.conftest import TINY, served

pytestmark = pytest.mark.anyio

MOST = MIN_REQUEST_BYTES - MIN_REQUEST_BYTES // PART_FOR_SMALL
"""Most memory of a request where the models leave less than requests may always take."""


@pytest.fixture(scope="module")
async def limited(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application whose models take all memory but what requests may always take."""
    root = tmp_path_factory.mktemp("weights")
    write_models(root)
    async with served(Settings(weights_dir=root, memory_limit="2MiB")) as client:
        yield client


def memory_of(client: httpx.AsyncClient) -> RequestMemory:
    memory: RequestMemory = client.app.state.memory  # type: ignore[attr-defined]
    return memory


def gauge(metrics: str, name: str) -> float:
    return next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith(f"{name} "))


async def given_back(client: httpx.AsyncClient) -> bool:
    """Whether no memory is claimed, once threads have freed what they work with."""
    deadline = time.monotonic() + 30
    while memory_of(client).n_bytes and time.monotonic() < deadline:
        await asyncio.sleep(0)
    return memory_of(client).n_bytes == 0


def png() -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "PNG")
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((3, 16)))
    return file.getvalue()


ITEMS = {"model": TINY, "inputs": [PIXELS] * 100}
STREAM = {"model": GPT, "inputs": ["ab"], "parameters": {"max_new_tokens": 5, "stream": True}}
REQUESTS: dict[str, tuple[str, dict[str, Any], int]] = {
    "numbers": ("/reconstruct", {"json": ITEMS}, 200),
    "gzip": (
        "/reconstruct",
        {"content": gzip.compress(json.dumps(ITEMS).encode()), "headers": {"content-encoding": "gzip"}},
        200,
    ),
    "an array": ("/encode", {"content": npy(), "headers": {"content-type": "application/x-npy"}}, 200),
    "CSV": ("/encode", {"content": b"0," * 15 + b"0\n", "headers": {"content-type": "text/csv"}}, 200),
    "a picture": ("/reconstruct", {"content": png(), "headers": {"content-type": "image/png"}}, 200),
    "files": ("/reconstruct", {"files": [("files", ("a.png", png()))]}, 200),
    "samples": ("/decode", {"json": {"model": TINY, "inputs": [[0.0, 0.0]] * 3}}, 422),
    "attention": ("/attend", {"json": {"model": GPT, "inputs": ["abcabc"]}}, 200),
    "a stream": ("/generate", {"json": STREAM}, 200),
    "tokens": ("/tokenize", {"json": {"model": BERT, "inputs": ["ab " * 30]}}, 200),
    "no JSON": ("/encode", {"content": b"[" * 9000}, 400),
    "no such model": ("/encode", {"json": {"model": "nobody", "inputs": [PIXELS] * 500}}, 404),
    "a wrong shape": ("/encode", {"json": {"model": TINY, "inputs": [[0.0] * 5000]}}, 422),
    "OpenAI": ("/v1/embeddings", {"json": {"model": BERT, "input": ["ab"] * 9}}, 200),
    "OpenAI's stream": (
        "/v1/completions",
        {"json": {"model": GPT, "prompt": "ab", "max_tokens": 4, "stream": True}},
        200,
    ),
    "OpenAI's error": ("/v1/embeddings", {"json": {"model": "nobody", "input": ["ab"] * 2000}}, 404),
    "Ollama": ("/api/embed", {"json": {"model": BERT, "input": "ab"}}, 200),
    "TEI": (f"/tei/{BERT}/embed", {"json": {"inputs": ["ab"]}}, 200),
    "Cohere": (
        "/v2/embed",
        {"json": {"model": BERT, "texts": ["ab"], "input_type": "clustering", "embedding_types": ["float"]}},
        200,
    ),
}


@pytest.mark.parametrize("kind", REQUESTS)
async def test_all_memory_is_given_back_however_a_request_ends(kind: str, limited: httpx.AsyncClient) -> None:
    path, arguments, status = REQUESTS[kind]
    memory = memory_of(limited)
    memory.restart_peak()
    answer = await limited.post(path, **arguments)
    assert answer.status_code == status, answer.text
    assert memory.peak_bytes > 0
    assert await given_back(limited)


async def test_a_request_that_needs_more_than_there_ever_is_gets_413_with_the_numbers(
    limited: httpx.AsyncClient,
) -> None:
    body = b'{"inputs":[' + b",".join([b"[0]"] * 600_000) + b"]}"
    answer = await limited.post("/encode", content=body)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (413, "/errors/payload-too-large"), problem
    assert f"memory_limit leaves {MOST} for one" in problem["detail"]
    assert await given_back(limited)


async def test_a_short_request_is_refused_for_what_it_asks_for_before_it_runs(limited: httpx.AsyncClient) -> None:
    body = {"model": GPT, "inputs": ["a" * 9] * 40, "parameters": {"n": 64, "logprobs": 20, "max_new_tokens": 50}}
    answer = await limited.post("/generate", json=body)
    assert (answer.status_code, answer.json()["type"]) == (413, "/errors/payload-too-large"), answer.text
    assert await given_back(limited)


async def test_a_request_beside_others_that_hold_the_memory_gets_429_and_is_counted(
    limited: httpx.AsyncClient,
) -> None:
    held = [memory_of(limited).open_share() for _ in range(1 + (MIN_REQUEST_BYTES - MOST) // SMALL_BYTES)]
    held[0].claim(MOST - 2**16)
    for each in held[1:]:
        each.claim(SMALL_BYTES)
    refused = await limited.post("/reconstruct", json=ITEMS)
    live = await limited.get("/health/live")
    foreign = await limited.post("/v1/embeddings", json={"model": BERT, "input": ["ab"] * 2000})
    metrics = (await limited.get("/metrics")).text
    for each in held:
        each.close()
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (429, "/errors/memory-exhausted"), problem
    assert f"other requests hold {MIN_REQUEST_BYTES - 2**16} of the {MIN_REQUEST_BYTES}" in problem["detail"]
    assert refused.headers["retry-after"] == "1"
    assert live.status_code == 200
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert gauge(metrics, "manifold_request_memory_bytes") == MIN_REQUEST_BYTES - 2**16
    assert gauge(metrics, "manifold_request_memory_limit_bytes") == MIN_REQUEST_BYTES
    assert gauge(metrics, 'manifold_refusals_total{model="",reason="MemoryExhausted"}') >= 1
    assert (await limited.post("/reconstruct", json=ITEMS)).status_code == 200


async def test_a_cancelled_request_gives_its_memory_back_once_its_work_has_ended(limited: httpx.AsyncClient) -> None:
    memory = memory_of(limited)
    body = b'{"model":"tiny-ae","inputs":[' + b",".join([b"[0.5]"] * 50_000) + b"]}"
    request = asyncio.ensure_future(limited.post("/encode", content=body))
    while memory.n_bytes <= len(body):
        await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert await given_back(limited)


def test_clients_that_leave_leave_no_memory_behind(any_server: Served) -> None:
    half = b"POST /encode HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n" + b"[" * 50_000
    with socket.create_connection(any_server.address) as connection:
        connection.sendall(half)
        wait_for_memory(any_server, lambda n_bytes: n_bytes > 0)
    body = json.dumps(STREAM | {"model": "tiny-gpt"}).encode()
    with socket.create_connection(any_server.address) as connection:
        connection.sendall(b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        connection.recv(1)
    wait_for_memory(any_server, lambda n_bytes: n_bytes == 0)


def wait_for_memory(server: Served, is_reached: Callable[[float], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        n_bytes = gauge(httpx.get(server.url + "/metrics").text, "manifold_request_memory_bytes")
        if is_reached(n_bytes):
            return
        assert time.monotonic() < deadline, n_bytes
