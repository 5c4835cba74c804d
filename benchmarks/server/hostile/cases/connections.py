"""Clients that do not read, do not finish, send all at once, or leave."""

import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from benchmarks.server.hostile.case import Case
from benchmarks.server.hostile.visitor import Visitor, json_request
from benchmarks.server.http_client import BlockingConnection, http_request

GPT = "gpt-mini-en"
LONG_LIMIT = {"x_timeout_ms": "600000"}
N_UNREAD, SMALL_BUFFER = 320, 4096
READING_S = 5.0
"""How long in seconds the answers to a long pipeline are read."""
NOTHING = http_request("/nothing", method="GET")
LEAVING_S = 10.0
"""Longest time after which a server has noticed that a client has left."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def long_generation(n_prompts: int = 1024) -> bytes:
    """Return a request whose answer takes minutes."""
    parameters = {"max_new_tokens": 250, "do_sample": True, "seed": 1}
    body = {"model": GPT, "inputs": ["Once"] * n_prompts, "parameters": parameters}
    return json_request("/generate", body, **LONG_LIMIT)


def attention() -> bytes:
    """Return a small request with an answer of many megabytes."""
    body = {"model": GPT, "inputs": ["a " * 250], "parameters": {"truncate": True}}
    return json_request("/attend", body, **LONG_LIMIT)


def is_idle(visitor: Visitor, model: str = GPT) -> bool:
    """Return whether a model generates nothing and nothing waits for it."""
    status, card = visitor.get(f"/models/{model}")
    return status == 200 and not card["queued_items"] and not card["running_sequences"]


def _unread_answers(visitor: Visitor) -> None:
    request = attention()
    with visitor.watch(), ExitStack() as stack:
        for _ in range(N_UNREAD):
            with suppress(OSError):  # the server may refuse further connections
                connection = stack.enter_context(
                    BlockingConnection(visitor.port, timeout_s=5.0, receive_buffer=SMALL_BUFFER)
                )
                connection.send(request)
        time.sleep(15.0)
    visitor.require(visitor.within(LEAVING_S, lambda: is_idle(visitor)), "the model works for clients that left")


def _unread_pipeline(visitor: Visitor) -> None:
    """Send a request with a large answer a hundred times over one connection, and read nothing."""
    with visitor.watch(), BlockingConnection(visitor.port, timeout_s=5.0, receive_buffer=SMALL_BUFFER) as connection:
        with suppress(OSError):
            connection.send(attention() * 100)
        time.sleep(8.0)


def _pipelined_heads(visitor: Visitor) -> None:
    """Send 1 MB of heads before reading, three times, and read answers for some seconds."""
    with visitor.watch():
        for _ in range(3):
            _send_heads(visitor, NOTHING * (2**20 // len(NOTHING)))


def _heads_behind_a_long_request(visitor: Visitor) -> None:
    with visitor.watch(), ExitStack() as stack:
        for _ in range(8):
            connection = stack.enter_context(BlockingConnection(visitor.port, timeout_s=5.0))
            with suppress(OSError):
                connection.send(long_generation(16) + NOTHING * (2**20 // len(NOTHING)))
        time.sleep(5.0)
    visitor.require(visitor.within(LEAVING_S, lambda: is_idle(visitor)), "the model works for clients that left")


def _send_heads(visitor: Visitor, heads: bytes) -> None:
    with suppress(OSError), BlockingConnection(visitor.port, timeout_s=5.0) as connection:
        with suppress(OSError):
            connection.send(heads)
        ends_at = time.monotonic() + READING_S
        while time.monotonic() < ends_at:
            visitor.count(connection.receive())


def _pipeline_in_order(visitor: Visitor) -> None:
    """Send 30 requests at once, every third of them wrong, and compare the order of their answers."""
    paths = ["/health/live", "/nothing", "/models/vanilla-ae-mnist"] * 10
    requests = [
        http_request(path, headers={"x-request-id": f"r{number}"}, method="GET") for number, path in enumerate(paths)
    ]
    found = []
    with visitor.watch(), suppress(OSError), BlockingConnection(visitor.port, timeout_s=5.0) as connection:
        connection.send(b"".join(requests))
        for _ in requests:
            answer = connection.receive()
            visitor.count(answer)
            found.append((answer.header("x-request-id"), answer.status))
    wanted = [(f"r{number}", 404 if path == "/nothing" else 200) for number, path in enumerate(paths)]
    visitor.require(bool(found), "no request of a pipeline was answered")
    visitor.require(found == wanted[: len(found)], f"the answers to a pipeline were {found[:5]}, not {wanted[:5]}")


def _left_with(behind: bytes, *, half: bool = False) -> Callable[[Visitor], None]:
    """Return an attack whose client leaves a long generation, with further bytes behind it in the pipeline."""

    def attack(visitor: Visitor) -> None:
        with visitor.watch():
            connection = BlockingConnection(visitor.port)
            connection.send(long_generation() + behind)
            visitor.require(visitor.within(LEAVING_S, lambda: not is_idle(visitor)), "the generation did not begin")
            if half:
                connection.socket.shutdown(socket.SHUT_WR)
                time.sleep(1.0)
            connection.close()
            visitor.require(visitor.within(LEAVING_S, lambda: is_idle(visitor)), "the leaving is not noticed")

    return attack


def _slow(first: bytes, drop: bytes, n_connections: int) -> Callable[[Visitor], None]:
    """Return an attack of many clients that send a start, and then very little at a time."""

    def attack(visitor: Visitor) -> None:
        with visitor.watch(), ExitStack() as stack:
            connections: list[BlockingConnection] = []
            for _ in range(n_connections):
                with suppress(OSError):
                    connections.append(stack.enter_context(BlockingConnection(visitor.port, timeout_s=2.0)))
            _drip(connections, first)
            for _ in range(8):
                time.sleep(1.0)
                _drip(connections, drop)

    return attack


def _drip(connections: Sequence[BlockingConnection], data: bytes) -> None:
    for connection in connections:
        with suppress(OSError):
            connection.send(data)


def _visitors(n: int, request: bytes, *, is_reset: bool) -> Callable[[Visitor], None]:
    """Return an attack of clients that send a request and leave at once, properly or by a reset."""

    def attack(visitor: Visitor) -> None:
        with visitor.watch():
            for _ in range(n):
                with suppress(OSError), BlockingConnection(visitor.port, timeout_s=5.0) as connection:
                    if is_reset:
                        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                    connection.send(request)
        visitor.require(visitor.within(LEAVING_S, lambda: is_idle(visitor)), "the model works for clients that left")

    return attack


ODD_HEADS = (
    b"POST /reconstruct HTTP/1.1\r\nhost: x\r\ncontent-length: " + b"0" * 5000 + b"\r\n\r\n",
    b"POST /reconstruct HTTP/1.1\r\nhost: x\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n",
    b"POST /reconstruct HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    b"POST /reconstruct HTTP/1.1\r\nhost: x\r\ncontent-length: 1e3\r\n\r\n",
    b"POST /reconstruct HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
    b"POST /reconstruct HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + b"f" * 100 + b"\r\n",
    b"POST /reconstruct HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
    b"GET /%00%ff%fe HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /models/" + b"%2e%2e%2f" * 500 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /?" + b"a=b&" * 15_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nx-timeout-ms: " + b"9" * 5000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nx-timeout-ms: 1\xb2\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\naccept: " + b"a/b;q=0.5," * 5000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\n" + b"".join(b"h%d: x\r\n" % n for n in range(5000)) + b"\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nx-request-id: " + b"\x80" * 100 + b"\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


def _odd_heads(visitor: Visitor) -> None:
    with visitor.watch():
        for head in ODD_HEADS:
            visitor.ask(head, timeout_s=2.0)


UNFINISHED_BODY = (
    b"POST /reconstruct HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n{"
)
LARGE_JSON = json_request("/reconstruct", b'{"model":"vanilla-ae-mnist","inputs":[' + b"0," * 4 * 2**20 + b"0]}")
CASES = (
    Case(name="unread-answers", attack=_unread_answers, models=(GPT,)),
    Case(name="unread-pipeline", attack=_unread_pipeline, models=(GPT,)),
    Case(name="pipelined-heads", attack=_pipelined_heads),
    Case(name="pipelined-behind-long", attack=_heads_behind_a_long_request, models=(GPT,)),
    Case(name="pipeline-in-order", attack=_pipeline_in_order),
    Case(name="left", attack=_left_with(b""), models=(GPT,)),
    Case(name="left-with-pipeline", attack=_left_with(NOTHING), models=(GPT,)),
    Case(name="left-with-heads", attack=_left_with(NOTHING * 5000), models=(GPT,)),
    Case(name="left-with-half-a-request", attack=_left_with(UNFINISHED_BODY), models=(GPT,)),
    Case(name="left-half-closed", attack=_left_with(NOTHING, half=True), models=(GPT,)),
    Case(name="slow-heads", attack=_slow(b"GET / HTTP/1.1\r\nhost: x\r\n", b"a: b\r\n", 500)),
    Case(name="slow-bodies", attack=_slow(UNFINISHED_BODY, b" ", 500)),
    Case(name="idle-connections", attack=_slow(b"", b"", 1500)),
    Case(name="long-head", attack=_slow(b"GET / HTTP/1.1\r\na: " + b"b" * 2**19, b"b" * 2**16, 40)),
    Case(name="visitors", attack=_visitors(3000, NOTHING, is_reset=False), models=(GPT,)),
    Case(name="visitors-reset", attack=_visitors(1000, attention(), is_reset=True), models=(GPT,)),
    Case(name="left-while-parsed", attack=_visitors(20, LARGE_JSON, is_reset=False), models=(GPT,)),
    Case(name="odd-heads", attack=_odd_heads),
)
