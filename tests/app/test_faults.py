"""What goes wrong around a real server: clients that leave or do not read, models that come and go. Nothing hangs."""

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.app.items import images
from tests.app.process.listening import close
from tests.app.server import Served, serve
from tests.app.texts import write_text

pytestmark = pytest.mark.anyio

MODEL = "vanilla-ae-mnist"
N_LEAVING, N_AT_ONCE = 1000, 50
N_ROUNDS, N_VISITORS = 50, 6
SLOW = {"width": 256, "n_heads": 4, "inner_width": 1024, "n_layers": 4, "n_positions": 4096}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(
        tmp_path_factory.mktemp("server"), "--models", f"{MODEL},conv-ae-mnist", "--torch-threads", "1"
    ) as served:
        yield served


def post(path: str, body: dict[str, Any], **headers: str) -> bytes:
    """A whole request, as it goes over the line."""
    content = json.dumps(body).encode()
    head = {"host": "x", "content-type": "application/json", "content-length": str(len(content)), **headers}
    return "\r\n".join((f"POST {path} HTTP/1.1", *(f"{k}: {v}" for k, v in head.items()), "", "")).encode() + content


def address(server: Served) -> tuple[str, int]:
    host, port = server.url.removeprefix("http://").split(":")
    return host, int(port)


def logged(server: Served) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]


async def test_a_thousand_clients_that_leave_while_they_wait_leave_nothing_behind(server: Served) -> None:
    request = post("/reconstruct", {"model": MODEL, "inputs": images(4, side=28).tolist()})
    places = asyncio.Semaphore(N_AT_ONCE)

    async def leave() -> None:
        async with places:
            _, writer = await asyncio.open_connection(*address(server))
            writer.write(request)
            await writer.drain()
            await close(writer)

    await asyncio.gather(*(leave() for _ in range(N_LEAVING)))
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        answer = await client.post("/reconstruct", json={"model": MODEL, "inputs": images(1, side=28).tolist()})
        assert answer.status_code == 200
        card = (await client.get(f"/models/{MODEL}")).json()
        assert (card["state"], card["queued_items"]) == ("ready", 0)
    deadline = time.monotonic() + 30
    while True:
        statuses = Counter(line["status"] for line in logged(server) if line.get("path") == "/reconstruct")
        if statuses.total() == N_LEAVING + 1:
            break
        assert time.monotonic() < deadline, statuses
        await asyncio.sleep(0.05)
    assert set(statuses) <= {200, 499}
    assert not [line for line in logged(server) if line["level"] == "error"]


async def test_models_come_and_go_under_traffic(server: Served) -> None:
    going, staying = MODEL, "conv-ae-mnist"
    process = psutil.Process(server.process.pid)
    statuses: dict[str, Counter[int]] = {going: Counter(), staying: Counter()}
    done = asyncio.Event()
    item = images(1, side=28).tolist()

    async def visit(client: httpx.AsyncClient, model: str) -> None:
        while not done.is_set():
            answer = await client.post("/encode", json={"model": model, "inputs": item})
            statuses[model][answer.status_code] += 1

    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        visits = [asyncio.create_task(visit(client, model)) for model in statuses for _ in range(N_VISITORS // 2)]
        for number in range(N_ROUNDS):
            for verb, state in (("unload", "unloaded"), ("load", "ready")):
                card = await client.post(f"/models/{going}/{verb}")
                assert card.json()["state"] == state, card.text
            if number == N_ROUNDS // 5:
                early = process.memory_info().rss
        late = process.memory_info().rss
        done.set()
        await asyncio.gather(*visits)
        assert (await client.get("/health/ready")).status_code == 200
    assert set(statuses[staying]) == {200}
    assert set(statuses[going]) == {200, 503}
    assert late - early < 100 * 2**20  # each of the forty copies of its weights takes 12 MB


@contextmanager
def not_reading(server: Served, request: bytes, n: int) -> Iterator[None]:
    """Clients that ask and do not read what they are told."""
    with ExitStack() as stack:
        for _ in range(n):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(address(server))
            reader.sendall(request)
        yield


async def until_logged(server: Served, n: int, **wanted: object) -> None:
    deadline = time.monotonic() + 60
    while sum(wanted.items() <= line.items() for line in logged(server)) < n:
        assert time.monotonic() < deadline, "a client that does not read is waited for"
        await asyncio.sleep(0.05)


async def test_answers_that_nobody_reads_are_given_up(tmp_path: Path) -> None:
    answer_of_16_mb = {"model": MODEL, "inputs": images(1000, side=28).tolist(), "parameters": {}}
    request = post("/reconstruct", answer_of_16_mb)
    with serve(tmp_path, "--models", MODEL, "--keep-alive-s", "1") as server, not_reading(server, request, n=3):
        await until_logged(server, 3, error="the client did not read its answer")
        await check_health(server)


async def check_health(server: Served) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        assert (await client.get("/health/ready")).status_code == 200
    assert not [line for line in logged(server) if "exception" in line]


async def test_streams_that_nobody_reads_keep_nobody_waiting(tmp_path: Path) -> None:
    write_text(tmp_path / "weights", "transformers/gpt", name="slow", **SLOW)
    body = {"model": "slow", "inputs": ["the dog"], "parameters": {"max_new_tokens": 4000, "n": 8, "stream": True}}
    request = post("/generate", body, **{"x-timeout-ms": "3000"})
    with (
        serve(tmp_path, "--torch-threads", "1", "--keep-alive-s", "2", weights=tmp_path / "weights") as server,
        not_reading(server, request, n=8),
    ):
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            while not (await client.get("/models/slow")).json()["running_sequences"]:
                await asyncio.sleep(0.01)
            vector = await client.post("/encode", json={"model": "slow", "inputs": ["a cat"]})
            assert vector.status_code == 200
            await until_logged(server, 8, path="/generate")
            async with asyncio.timeout(10):  # the step that is being made ends first
                while (await client.get("/models/slow")).json()["running_sequences"]:
                    await asyncio.sleep(0.05)
            assert (await client.get("/models/slow")).json()["queued_items"] == 0
