"""What is refused at the door, where one model has no room left: only what would be refused inside, and alike."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.datastructures import State

from app.engine.engine import Engine
from app.http.admission import MAX_HEAD_BYTES, MAX_REST_S, WATCHED_S, Door, Verdict
from app.http.content import JSON
from models.tasks import ENCODE
from tests.app.engine.scripted import ScriptedModel, item, start, until
from tests.app.process.serve import Served, serve
from tests.app.test_faults import SLOW, address, logged, post
from tests.app.texts import write_text

pytestmark = pytest.mark.anyio

LONG: dict[str, Any] = {"model": "slow", "inputs": ["the dog"], "parameters": {"max_new_tokens": 4000}}
SHORT: dict[str, Any] = {"model": "slow", "inputs": ["the dog"]}
INLINE_BYTES = 1000
NARROW = ("--workers", "1", "--max-running-sequences", "1", "--max-queue-items", "1", "--max-items", "1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    weights = tmp_path_factory.mktemp("weights")
    write_text(weights, "transformers/gpt", name="slow", **SLOW)
    write_text(weights, "transformers/bert", name="other")
    options = (*NARROW, "--inline-bytes", str(INLINE_BYTES))
    with serve(tmp_path_factory.mktemp("server"), *options, weights=weights) as served:
        yield served


@pytest.fixture
async def client(server: Served) -> AsyncIterator[httpx.AsyncClient]:
    """While one text is made and another waits, which is all that may."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        work = []
        for key in ("running_sequences", "queued_items"):
            work.append(asyncio.create_task(client.post("/generate", json=LONG)))
            while (await client.get("/models/slow")).json()[key] == 0:
                await asyncio.sleep(0.01)
        assert (await client.post("/generate", json=SHORT)).status_code == 429  # the first one is not looked at
        yield client
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        while (card := (await client.get("/models/slow")).json())["queued_items"] or card["running_sequences"]:
            await asyncio.sleep(0.01)


def test_it_is_watched_for_a_while_after_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("app.http.admission.time.monotonic", lambda: now)
    door = Door(State({"registry": None, "draining": False}), {}, INLINE_BYTES)
    told = [door.is_watched]
    door.watch()
    told.append(door.is_watched)
    now += WATCHED_S
    told.append(door.is_watched)
    assert told == [False, True, False]


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    """Whose model computes until the end; 4 items may wait."""
    model = ScriptedModel()
    engine = await start(model, max_queue_items=4, max_items=4)
    model.gate.clear()
    work = asyncio.create_task(engine.submit(ENCODE, [item(0)]))
    await until(lambda: model.entered.acquire(blocking=False))
    yield engine
    model.gate.set()
    await work
    await engine.stop()


@pytest.fixture
def door(engine: Engine) -> Door:
    """Of a server with one model."""
    served = SimpleNamespace(require=lambda: (None, SimpleNamespace(engine=engine)))
    registry = SimpleNamespace(asked=lambda *_: served)
    return Door(State({"registry": registry, "draining": False}), {"/encode": "encode"}, INLINE_BYTES)


async def test_no_more_are_let_in_at_a_time_than_there_is_room_for(door: Door) -> None:
    request = post("/encode", {"inputs": [[0.0]]})
    for _ in range(2):  # turns of the loop; nothing is queued in between
        verdicts = [door.verdict(request, ()) for _ in range(6)]
        assert verdicts[:4] == [Verdict.LET_IN] * 4
        assert all(isinstance(verdict, bytes) for verdict in verdicts[4:])
        await asyncio.sleep(0)


@pytest.fixture
def rested(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each time; nobody really does."""
    rested: list[float] = []
    monkeypatch.setattr("app.http.admission.time.sleep", rested.append)
    return rested


async def turn(door: Door, n_requests: int) -> None:
    """Of the loop, in which so many requests come, and the next, in which it may rest."""
    for _ in range(n_requests):
        door.verdict(post("/encode", {"inputs": [[0.0]]}), ())
    for _ in range(2):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("n_requests", "has_visitor", "rests"),
    [(4, False, []), (6, False, [MAX_REST_S]), (6, True, [])],
    ids=["none refused", "some refused", "some refused beside a new connection"],
)
async def test_the_loop_rests_after_a_turn_that_refused_some(
    door: Door,
    rested: list[float],
    monkeypatch: pytest.MonkeyPatch,
    n_requests: int,
    has_visitor: bool,
    rests: list[float],
) -> None:
    monkeypatch.setattr(Engine, "backlog_s", 10.0)
    for n_turns in (1, 2):
        if has_visitor:
            door.visit()
        await turn(door, n_requests)
        assert rested == rests * n_turns


async def test_no_rest_is_longer_than_workers_have_work_for(
    door: Door, rested: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "backlog_s", MAX_REST_S)
    await turn(door, 6)
    (rest,) = rested
    assert 0 < rest < MAX_REST_S / 4


async def test_only_what_can_be_read_in_one_way_is_looked_at(door: Door, engine: Engine) -> None:
    waiting = [asyncio.create_task(engine.submit(ENCODE, [item(1)])) for _ in range(4)]
    await until(lambda: engine.n_queued == 4)
    content = {"inputs": [[0.0]]}
    request = post("/encode", content)
    let_in = [
        request + b"G",
        request.replace(b"HTTP/1.1", b"HTTP/1.0"),
        request.replace(b"POST", b"PUT"),
        request.replace(b"/encode", b"/encode?a=b"),
        request.replace(b"/encode", b"/%65ncode"),
        request.replace(b"\r\n", b"\n"),
        request.replace(b"host: x", b"host: x\r\n folded"),
        request.replace(b"host: x", b"content-length: 3"),
        post("/encode", content, **{"transfer-encoding": "chunked"}),
        post("/encode", content, expect="100-continue"),
        post("/encode", content, connection="close"),
        post("/encode", content, **{"content-length": "-1"}),
        post("/encode", content, **{"content-length": "1" * 5000}),
        post("/encode", content, host="a\0b"),
        request.replace(b"length: ", b"length: \x0b"),
        post("/encode", {"inputs": [[0.0] * INLINE_BYTES]}),
        post("/encode", content, cookie="x" * MAX_HEAD_BYTES),
        request[:20],
    ]
    assert [door.verdict(data, ()) for data in let_in] == [Verdict.LET_IN] * len(let_in)
    assert door.verdict(request[:-1], ()) is Verdict.INCOMPLETE
    for like in (request, post("/encode", content, Connection="Keep-Alive"), request.replace(b"-type: ", b"-type:\t ")):
        assert isinstance(door.verdict(like, ()), bytes)
    for one in waiting:
        one.cancel()


async def test_it_is_refused_as_it_is_inside(client: httpx.AsyncClient, server: Served) -> None:
    at_the_door = await client.post("/generate", json=SHORT, headers={"x-request-id": "mine"})
    too_long_to_be_looked_at = json.dumps(SHORT) + " " * INLINE_BYTES
    inside = await client.post("/generate", content=too_long_to_be_looked_at, headers={"content-type": JSON})
    for answer in (at_the_door, inside):
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert at_the_door.json() == inside.json() | {"request_id": "mine"}
    assert at_the_door.headers.keys() == inside.headers.keys()
    (line,) = [line for line in logged(server) if line.get("request_id") == "mine"]
    assert (line["path"], line["method"], line["status"]) == ("/generate", "POST", 429)


async def test_what_would_not_be_refused_inside_goes_in(client: httpx.AsyncClient) -> None:
    tokens = await client.post("/tokenize", json={"model": "slow", "inputs": ["the dog"]})
    other = await client.post("/encode", json={"model": "other", "inputs": ["the dog"]})
    by_default = await client.post("/fill-mask", json={"inputs": ["the [MASK]"]})
    assert [answer.status_code for answer in (tokens, other, by_default)] == [200, 200, 200]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({"content": b"{", "headers": {"content-type": JSON}}, 400),
        ({"json": {"model": "nobody", "inputs": ["x"]}}, 404),
        ({"json": {"model": "other", "inputs": ["x"]}}, 422),
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415),
        ({"json": SHORT, "params": {"a": "b"}}, 422),
        ({"content": None, "headers": {"content-type": JSON}}, 429),
    ],
)
async def test_what_is_wrong_otherwise_is_told_inside(
    client: httpx.AsyncClient, arguments: dict[str, Any], status: int
) -> None:
    if arguments.get("content", b"") is None:
        content = json.dumps(SHORT).encode()

        async def in_pieces() -> AsyncIterator[bytes]:
            yield content[:10]
            yield content[10:]

        arguments = arguments | {"content": in_pieces()}  # of a length that is not announced
    assert (await client.post("/generate", **arguments)).status_code == status


async def test_a_connection_goes_on_after_a_refusal(client: httpx.AsyncClient, server: Served) -> None:
    request, alive = post("/generate", SHORT), b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"

    def talk() -> list[bytes]:
        with socket.create_connection(address(server), timeout=30) as connection:
            heads = []
            for sent in ((request[:70],), (request[70:-5], request[-5:], alive), (request + request,)):
                for piece in sent:
                    connection.sendall(piece)
            stream = connection.makefile("rb")
            for _ in range(4):
                head = b"".join(iter(stream.readline, b"\r\n"))
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                stream.read(int(length.split(b":")[1]))
                heads.append(head.split(b"\r\n")[0])
            return heads

    refused, fine = b"HTTP/1.1 429 Too Many Requests", b"HTTP/1.1 200 OK"
    assert await asyncio.to_thread(talk) == [refused, fine, refused, refused]


def refusing(server: Served, stack: ExitStack) -> socket.socket:
    """A connection to a server that makes a text, lets another wait, and has refused a third."""
    for _ in range(2):
        busy = stack.enter_context(socket.create_connection(address(server), timeout=30))
        busy.sendall(post("/generate", LONG))
        time.sleep(0.2)
    connection = stack.enter_context(socket.create_connection(address(server), timeout=30))
    assert refused(connection, post("/generate", SHORT))
    return connection


def refused(connection: socket.socket, *pieces: bytes) -> bool:
    for piece in pieces:
        connection.sendall(piece)
    return connection.recv(4096).startswith(b"HTTP/1.1 429 ")


@pytest.fixture
def own(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    write_text(tmp_path, "transformers/gpt", name="slow", **SLOW)
    place = tmp_path_factory.mktemp("server")
    with serve(place, *NARROW, "--keep-alive-s", "1", "--drain-ms", "300", weights=tmp_path) as served:
        yield served


def test_a_connection_of_refusals_stays_open_until_nothing_has_come_for_long(own: Served) -> None:
    with ExitStack() as stack:
        connection = refusing(own, stack)
        for _ in range(8):
            time.sleep(0.3)
            assert refused(connection, post("/generate", SHORT))
        assert connection.recv(4096) == b""


def test_a_request_whose_rest_never_comes_has_a_deadline(own: Served) -> None:
    with ExitStack() as stack:
        connection = refusing(own, stack)
        connection.sendall(post("/generate", SHORT, **{"x-timeout-ms": "300"})[:-5])
        assert connection.recv(4096).startswith(b"HTTP/1.1 504 ")


def test_a_request_that_has_begun_to_come_is_answered_although_the_server_ends(own: Served) -> None:
    request = post("/generate", SHORT)
    with ExitStack() as stack:
        connection = refusing(own, stack)
        connection.sendall(request[:-5])
        time.sleep(0.1)
        own.process.send_signal(signal.SIGTERM)
        time.sleep(1.5)
        assert refused(connection, request[-5:])
