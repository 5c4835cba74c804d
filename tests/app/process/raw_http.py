"""HTTP/1.1 as bytes on a socket, for requests that no client library would send."""

import json
import socket
from dataclasses import dataclass, field
from typing import Any, Self

from tests.app.server import Served

TIMEOUT_S = 30


@dataclass(frozen=True)
class Answer:
    """A status, the headers by their names in lower case, and the body without its coding."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One connection to a server, which must answer within `TIMEOUT_S`."""

    def __init__(self, server: Served) -> None:
        self._socket = socket.create_connection(server.address, timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def send(self, *pieces: bytes) -> Self:
        for piece in pieces:
            self._socket.sendall(piece)
        return self

    def answer(self, *, method: str = "POST") -> Answer:
        """Read the next answer, which is without body if the request's method was HEAD."""
        _, status, *_ = self._stream.readline().split(maxsplit=2)
        headers = {}
        while (line := self._stream.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if method == "HEAD" or status in (b"100", b"204", b"304"):
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = self._chunks()
        elif "content-length" in headers:
            body = self._stream.read(int(headers["content-length"]))
        else:
            body = self.read_to_end()
        return Answer(int(status), headers, body)

    def read_to_end(self) -> bytes:
        """Read until the server closes the connection."""
        return self._stream.read()

    def _chunks(self) -> bytes:
        chunks = []
        while n_bytes := int(self._stream.readline(), 16):
            chunks.append(self._stream.read(n_bytes))
            assert self._stream.readline() == b"\r\n"
        assert self._stream.readline() == b"\r\n"
        return b"".join(chunks)


def request(
    path: str, body: bytes | None = None, *lines: str, method: str = "", version: str = "1.1", host: str = "Host: x"
) -> bytes:
    """Return a request, with `lines` after the usual headers; GET without a body, POST of JSON with one."""
    head = [f"{method or ('GET' if body is None else 'POST')} {path} HTTP/{version}", *([host] if host else [])]
    if body is not None:
        framed = any(line.lower().startswith(("content-length", "transfer-encoding")) for line in lines)
        typed = any(line.lower().startswith("content-type") for line in lines)
        head += [] if typed else ["Content-Type: application/json"]
        head += [] if framed else [f"Content-Length: {len(body)}"]
    return "\r\n".join((*head, *lines, "", "")).encode("latin-1") + (body or b"")


def head_of(message: bytes) -> bytes:
    """Return the part of a request before its body."""
    head, end, _ = message.partition(b"\r\n\r\n")
    return head + end


def chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    """Return a body in chunked coding."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


def exchange(server: Served, *pieces: bytes, method: str = "POST") -> Answer:
    """Send one request on a connection of its own, and return its answer."""
    with Connection(server) as connection:
        return connection.send(*pieces).answer(method=method)
