"""Answers of tasks: whole, or as Server-Sent Events."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import InferenceFailed
from app.http.context import context_in
from app.http.json_pieces import render_json
from models.codecs.csv_writing import to_csv

PIECE_BYTES = 2**18
"""Size in bytes of the pieces in which a long answer is sent; at most one of them is buffered at a time."""
UNBUFFERED_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""Headers that keep proxies from holding back a stream until its end."""


class TaskResponse(Response):
    """An answer of a task, sent in pieces as fast as the client reads."""

    def __init__(self, body: bytes, media_type: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Use the headers as given; setting them by name, as the base class does, takes several times as long."""
        if media_type.startswith("text/"):
            media_type += "; charset=utf-8"
        self.status_code, self.body, self.media_type, self.background = 200, body, media_type, None
        content_headers = ((b"content-length", b"%d" % len(body)), (b"content-type", media_type.encode()))
        self.raw_headers = [*content_headers, *headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, which is all that the request still holds."""
        context_in(scope).memory.keep(len(self.body))
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for start in range(0, max(1, len(self.body)), PIECE_BYTES):
            piece = self.body[start : start + PIECE_BYTES]
            more = start + PIECE_BYTES < len(self.body)
            await send({"type": "http.response.body", "body": piece, "more_body": more})


def task_json(answer: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Render an answer, whose arrays may have any memory layout, as JSON.

    Raises:
        InferenceFailed: a number is not finite; the encoder would write null in its place.
    """
    pieces = render_json(answer)
    if any(b"null" in piece for piece in pieces):  # which a text may contain, and an optional field may be
        check_finite(answer)
    return b"".join(pieces)


def task_csv(rows: Sequence[dict[str, Any]], *, has_names: bool = True) -> bytes:
    """Render rows as CSV, below a line of the names if it `has_names`.

    Raises:
        InferenceFailed: a number is not finite.
    """
    data = to_csv(rows, has_names=has_names)
    if b"nan" in data or b"inf" in data:  # which a text may contain
        check_finite(rows)
    return data


def check_finite(value: Any) -> None:
    """Raise InferenceFailed if there is NaN or infinity in an array, a number, or a list or mapping of such."""
    members = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list | tuple):
        for member in members:
            check_finite(member)
    elif isinstance(value, float | np.floating | np.ndarray) and not np.isfinite(value).all():
        raise InferenceFailed("the model's answer holds a number that is not finite")


def server_sent_event(content: dict[str, Any]) -> bytes:
    """Render one event of a stream (HTML Living Standard, 9.2)."""
    return b"data: " + orjson.dumps(content) + b"\n\n"
