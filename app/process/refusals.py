"""Answers to requests that never reach the application, because their head or their framing is wrong."""

import http
import re
import time
from collections.abc import Iterable
from functools import cache
from typing import Any

import httptools

from app.errors import HeadTooLarge, MalformedRequest, ManifoldError, TooManyConnections
from app.http.context import request_id_from
from app.http.problems import problem_of
from app.http.request_records import log_request
from app.http.security_headers import SECURITY_HEADERS

MAX_HEAD_BYTES = 2**16
"""Maximum size of a request's head, and of the trailers or of one chunk's extensions in a body."""
MAX_HEADERS = 256
"""Maximum number of headers of a request: many short ones take a hundred times the memory of the bytes received."""

RETRY_AFTER_S = 1
"""Time in seconds after which a client is asked to try again while too many connections are open."""

Headers = Iterable[tuple[bytes, bytes]]

_HOST_PATTERN = re.compile(rb"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)
"""Characters of a host and a port (RFC 3986, 3.2.2 and 3.2.3)."""


class Refusal:
    """One refused request, which is answered with problem details.

    It is an ASGI application that answers that request. `to_bytes` is for input that no request could be read from.
    """

    def __init__(self, error: ManifoldError, *, closes: bool = True, is_logged: bool = True) -> None:
        """Refuse with `error`. With `closes`, end the connection, because nothing after the request can be read."""
        self._problem, self._closes, self._is_logged = problem_of(error), closes, is_logged
        self._started_at = time.monotonic()

    @classmethod
    def too_many_connections(cls, limit: int) -> "Refusal":
        """Return the refusal of a connection beyond a limit, which is not logged: there may be any number of them."""
        detail = f"{limit} connections are open, the limit; try again later"
        return cls(TooManyConnections(detail, retry_after_s=RETRY_AFTER_S), is_logged=False)

    @classmethod
    def head_too_large(cls, *, closes: bool = True) -> "Refusal":
        """Return the refusal of a head of more than `MAX_HEAD_BYTES` or `MAX_HEADERS`."""
        limits = f"{MAX_HEAD_BYTES} bytes or {MAX_HEADERS} headers, the limits"
        return cls(HeadTooLarge(f"the request's head has more than {limits}"), closes=closes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        request_id = request_id_from(dict(reversed(scope["headers"])).get(b"x-request-id", b""))
        headers, body = self._render(request_id, scope["method"], scope["path"])
        await send({"type": "http.response.start", "status": self._problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def to_bytes(self, default_headers: Headers) -> bytes:
        """Return the whole answer."""
        headers, body = self._render(request_id_from(b""), "?", "?")
        return b"%s\r\n%s" % (head_bytes(self._problem.status, (*default_headers, *headers)), body)

    def _render(self, request_id: str, method: str, path: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Return the headers and the body of the answer. Log the request, unless that is not wanted."""
        headers, body = self._problem.render(request_id)
        headers += [(b"x-request-id", request_id.encode()), *SECURITY_HEADERS]
        if self._closes:
            headers.append((b"connection", b"close"))
        status, error = self._problem.status, self._problem.detail
        if self._is_logged:
            log_request(
                method, path, time.monotonic() - self._started_at, request_id=request_id, status=status, error=error
            )
        return headers, body


def refusal_of_head(scope: Any) -> Refusal | None:
    """Return the refusal of a request whose head is too large, or that lacks exactly one valid Host (RFC 9112, 3.2)."""
    headers = scope["headers"]
    n_bytes = len(scope["raw_path"]) + len(scope["query_string"]) + len(b": \r\n") * len(headers)
    n_bytes += sum([len(name) + len(value) for name, value in headers])
    hosts = [value for name, value in headers if name == b"host"]
    if n_bytes > MAX_HEAD_BYTES or len(headers) > MAX_HEADERS:
        return Refusal.head_too_large(closes=False)
    if len(hosts) > 1 or (not hosts and scope["http_version"] == "1.1"):
        error = MalformedRequest(f"the request has {len(hosts)} Host headers; it must have one")
        return Refusal(error, closes=False)
    if hosts and not _HOST_PATTERN.fullmatch(hosts[0]):
        host = hosts[0][:100].decode("latin-1")
        return Refusal(MalformedRequest(f"the Host header is {host!r}, which is not a host"), closes=False)
    return None


def refusal_of_syntax(error: httptools.HttpParserError) -> Refusal:
    """Return the refusal of bytes that the parser does not accept."""
    if isinstance(error, httptools.HttpParserCallbackError):
        return Refusal(MalformedRequest("the request's target cannot be parsed"))
    return Refusal(MalformedRequest(f"the request is not HTTP/1.1: {error}"))


def head_bytes(status: int, headers: Headers) -> bytes:
    """Return the head of an answer without the empty line that ends it."""
    return b"".join([_status_line(status), *[b"%s: %s\r\n" % header for header in headers]])


@cache
def _status_line(status: int) -> bytes:
    phrase = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()
