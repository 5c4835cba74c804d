"""The small HTTP client: it finds answers however they arrive, and says when they are missing."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.server.http_client import Answer, AnswerParser, BlockingConnection, Client, http_request
from tests.benchmarks.server.misbehaving import answering

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Request-Id: A-1\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_answers_are_found_however_their_bytes_arrive(size: int) -> None:
    parser, found, data = AnswerParser(), list[Answer](), PLAIN + INTERIM + CHUNKED + EMPTY
    for start in range(0, len(data), size):
        found += parser.feed(data[start : start + size])
    assert [(answer.status, answer.body) for answer in found] == [(200, b"hello"), (404, b"abcde"), (204, b"")]
    assert parser.is_between_answers
    assert not AnswerParser().feed(PLAIN[:-1])


def test_headers_are_found_by_their_names_in_small_letters() -> None:
    (answer,) = AnswerParser().feed(PLAIN)
    assert answer.header("x-request-id") == "A-1"
    assert answer.header("content-length") == "5"
    assert answer.header("id") is None


def test_what_is_no_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="SSH"):
        AnswerParser().feed(b"SSH-2.0-x\r\n\r\n")


def test_a_request_has_a_content_length_only_with_a_body() -> None:
    assert http_request("/x", b"{}", {"a": "b"}) == (
        b"POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\na: b\r\n\r\n{}"
    )
    assert http_request("/x", method="GET") == b"GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n"


@contextmanager
def sending(data: bytes) -> Iterator[int]:
    """Accept one connection, send it bytes, and close it; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_blocking_connection_returns_answers_in_order_and_then_that_it_is_closed() -> None:
    with sending(PLAIN + CHUNKED) as port, BlockingConnection(port) as connection:
        assert connection.ask(b"x").status == 200
        assert connection.receive().status == 404
        with pytest.raises(ConnectionError, match="without an answer"):
            connection.receive()


def test_a_client_connects_again_after_it_has_left() -> None:
    async def ask(port: int) -> list[int]:
        client = Client(port)
        request = http_request("/", method="GET")
        statuses = [(await client.send(request, 5.0)).status]
        client.close()
        statuses.append((await client.send(request, 5.0)).status)
        client.close()
        return statuses

    with answering(lambda _: (201, b"")) as port:
        assert asyncio.run(ask(port)) == [201, 201]


def test_a_client_is_told_of_a_connection_that_ends_without_an_answer() -> None:
    async def ask(port: int) -> None:
        await Client(port).send(b"x", 5.0)

    with sending(PLAIN[:-1]) as port, pytest.raises(ConnectionError, match="without an answer"):
        asyncio.run(ask(port))
