"""`manifold serve` on a real socket: concurrent load, good and bad requests together, and overload."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from models.autoencoding.autoencoder import FixedShapeAutoencoder
from tests.app.items import Floats, images, npy, reconstructed, reference
from tests.app.process.listening import close
from tests.app.server import SHIPPED, Served, serve

pytestmark = pytest.mark.anyio

MODEL = "vanilla-ae-mnist"
N_CLIENTS = 64
LIMITS = httpx.Limits(max_connections=N_CLIENTS)
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("server"), "--models", MODEL) as served:
        yield served


@pytest.fixture(scope="module")
def batch() -> Floats:
    return images(16, side=28)


@pytest.fixture(scope="module")
def expected(batch: Floats) -> Floats:
    model: FixedShapeAutoencoder = reference(SHIPPED, MODEL)
    return reconstructed(model, batch)


BAD: list[tuple[int, bytes, dict[str, str]]] = [
    (400, b"{", JSON),
    (400, b'{"inputs": ["data:image/png;base64,AAAA"]}', JSON),
    (400, b"no image", {"content-type": "image/png"}),
    (404, b'{"model": "nobody", "inputs": []}', JSON),
    (406, b'{"inputs": []}', JSON | {"accept": "text/html"}),
    (415, b"hello", {"content-type": "text/plain"}),
    (422, b'{"inputs": [[1, 2, 3]]}', JSON),
    (422, b'{"inputs": [[NaN]]}', JSON),
    (422, b'{"inputs": [], "input": []}', JSON),
    (422, npy(np.full((1, 28, 28), 1.5)), {"content-type": "application/x-npy"}),
    (422, npy(np.zeros((2000, 28, 28), np.uint8)), {"content-type": "application/x-npy"}),
]


async def test_64_clients_with_good_and_bad_requests(
    server: Served, batch: Floats, expected: Floats, pytestconfig: pytest.Config
) -> None:
    deadline = time.monotonic() + pytestconfig.getoption("soak_seconds")
    statuses: Counter[int] = Counter()
    batch_sizes: Counter[int] = Counter()

    async def send_requests(http: httpx.AsyncClient, client: int) -> None:
        draw = np.random.default_rng(client)
        while time.monotonic() < deadline:
            if draw.random() < 0.3:
                status, content, headers = BAD[draw.integers(len(BAD))]
                answer = await http.post("/reconstruct", content=content, headers=headers)
                assert answer.status_code == status, answer.text
                assert answer.json()["status"] == status
            else:
                some = draw.integers(len(batch), size=draw.integers(1, 4))
                answer = await http.post("/reconstruct", json={"inputs": batch[some].tolist()})
                assert answer.status_code == 200, answer.text
                got = [output["reconstruction"][0] for output in answer.json()["outputs"]]
                np.testing.assert_allclose(got, expected[some], rtol=0, atol=1e-5)
                batch_sizes[int(answer.headers["x-batch-size"])] += 1
            statuses[answer.status_code] += 1

    async with httpx.AsyncClient(base_url=server.url, timeout=30, limits=LIMITS) as http:
        await asyncio.gather(*(send_requests(http, client) for client in range(N_CLIENTS)))
        assert (await http.get(f"/models/{MODEL}")).json()["queued_items"] == 0
        assert (await http.get("/health/ready")).status_code == 200
    assert statuses[200] > N_CLIENTS
    assert set(statuses) == {200} | {status for status, _, _ in BAD}
    assert max(batch_sizes) > 3  # more than one request can have brought


async def test_a_body_of_100_mb_is_refused_and_the_server_goes_on(server: Served) -> None:
    body = b"[" + b"0," * (50 * 2**20) + b"0]"
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        answer = await http.post("/encode", content=body, headers=JSON)
        assert answer.status_code == 413
        assert (await http.get("/health/ready")).status_code == 200


async def test_a_client_that_hangs_up_is_noticed(server: Served, batch: Floats) -> None:
    before = server.log.read_text().count('"status":499')
    body = npy(np.repeat(batch, 64, axis=0))  # a batch of 1,024 takes long enough
    head = f"POST /reconstruct HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-npy\r\ncontent-length: {len(body)}"
    host, port = server.url.removeprefix("http://").split(":")
    for _ in range(24):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode() + b"\r\n\r\n" + body)
        await writer.drain()
        await close(writer)
    deadline = time.monotonic() + 20
    while server.log.read_text().count('"status":499') == before:
        assert time.monotonic() < deadline, "no request was logged as given up"
        await asyncio.sleep(0)


async def test_overload_is_refused_at_once_with_a_time_to_come_back(tmp_path: Path, batch: Floats) -> None:
    many: dict[str, Any] = {
        "content": npy(np.repeat(batch, 8, axis=0)),
        "headers": {"content-type": "application/x-npy"},
    }
    options = ("--max-queue-items", "128", "--max-items", "128", "--max-batch-elements", "784", "--torch-threads", "1")
    with serve(tmp_path, "--models", MODEL, *options) as served:
        async with httpx.AsyncClient(base_url=served.url, timeout=60, limits=LIMITS) as http:
            answers = await asyncio.gather(*(http.post("/reconstruct", **many) for _ in range(32)))
            statuses = Counter(answer.status_code for answer in answers)
            assert set(statuses) == {200, 429}
            for answer in answers:
                if answer.status_code == 429:
                    assert 1 <= int(answer.headers["retry-after"]) <= 60
                    assert "the limit is 128" in answer.json()["detail"]
            assert (await http.post("/reconstruct", **many)).status_code == 200
