"""A client that leaves ends its request, whatever the server does for it."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from app.concurrency.worker_pools import WorkerPools
from app.http import request_timer
from tests.conftest import TINY

pytestmark = pytest.mark.anyio

TIMEOUT_S = 10


class Client:
    """A client that sends one request to an application without a socket, and leaves when it is told to."""

    def __init__(self, app: Any, method: str, path: str, body: bytes) -> None:
        self.leaves, self._body, self.status = asyncio.Event(), [body], 0
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 80),
            "scheme": "http",
        }
        self.request = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._body:
            return {"type": "http.request", "body": self._body.pop(), "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)


@pytest.fixture(autouse=True)
def first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_timer, "FIRST_LOOK_S", 0.0)


@pytest.mark.parametrize(
    ("path", "field"),
    [("/encode", "inputs"), ("/v1/embeddings", "input"), ("/v1/rerank", "documents"), ("/api/embed", "input")],
)
async def test_a_client_that_leaves_while_its_body_is_parsed_is_noticed(
    path: str, field: str, own_client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_parsing, abandoned = asyncio.Event(), asyncio.Event()

    async def never_end(self: WorkerPools, *arguments: Any, n_bytes: int = 0, **others: Any) -> None:
        is_parsing.set()
        try:
            await asyncio.Event().wait()
        finally:
            abandoned.set()

    monkeypatch.setattr(WorkerPools, "run", never_end)
    body = json.dumps({"model": TINY, field: ["a"] * 40_000}).encode()
    app = own_client.app  # type: ignore[attr-defined]
    client = Client(app, "POST", path, body)
    async with asyncio.timeout(TIMEOUT_S):
        await is_parsing.wait()
        client.leaves.set()
        await abandoned.wait()
        await client.request
    assert client.status == 499
