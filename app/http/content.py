"""Content types: reading a body within its limit, and choosing the type of the answer."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Self, cast

import orjson
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.errors import ClientDisconnected, Fault, InvalidRequest, MalformedBody, NotAcceptable, PayloadTooLarge

JSON = "application/json"
NPY = "application/x-npy"
PNG = "image/png"
EVENTS = "text/event-stream"
MULTIPART = "multipart/form-data"
IMAGES = (PNG, "image/jpeg", "image/webp")


def header(request: Request, name: bytes) -> str | None:
    """The first of that name, which is in small letters; `request.headers` takes ten times as long to build."""
    value = request.scope["state"]["headers"].get(name)
    return None if value is None else value.decode("latin-1")


def content_type(request: Request) -> str:
    """The body's media type without its parameters; JSON where the client names none."""
    given = header(request, b"content-type")
    return JSON if given is None else given.partition(";")[0].strip().lower()


class Received:
    """What a client sends, as it comes.

    Raises:
        PayloadTooLarge: more than `max_bytes` are announced or, later, arrive.
        ClientDisconnected: later, that the client hung up before the end.
    """

    def __init__(self, request: Request, max_bytes: int) -> None:
        announced = header(request, b"content-length") or ""
        if announced.isdecimal() and int(announced) > max_bytes:
            raise PayloadTooLarge(f"the body has {announced} bytes; the limit is {max_bytes}")
        self._request, self._max_bytes = request, max_bytes
        self._n_bytes = 0
        self._is_read = False

    async def next_chunk(self) -> bytes:
        """Never one byte too many."""
        message = await self._request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("the client hung up while sending")
        chunk = cast("bytes", message.get("body", b""))
        self._n_bytes += len(chunk)
        if self._n_bytes > self._max_bytes:
            raise PayloadTooLarge(f"the body has more than {self._max_bytes} bytes, the limit")
        self._is_read = not message.get("more_body", False)
        return chunk

    async def whole(self) -> bytes:
        """All of it."""
        chunks: list[bytes] = []
        while not self._is_read:
            chunks.append(await self.next_chunk())
        return b"".join(chunks)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The chunks."""
        while not self._is_read:
            yield await self.next_chunk()


async def read_files(request: Request, max_bytes: int, max_files: int) -> list[bytes]:
    """The parts named `files` of a multipart body, in order.

    Raises:
        MalformedBody: not multipart as its header promises.
        InvalidRequest: a part of another name, or no file at all.
    """
    parser = MultiPartParser(
        request.headers, Received(request, max_bytes).stream(), max_files=max_files, max_fields=max_files
    )
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError) as error:  # the latter of a charset that is none
        raise MalformedBody(f"the body is not multipart/form-data with at most {max_files} files") from error
    try:
        strangers = sorted({name for name, value in form.multi_items() if name != "files" or isinstance(value, str)})
        if strangers:
            raise InvalidRequest.of([Fault("", f"unknown parts {strangers}; send files in parts named 'files'")])
        files = [await upload.read() for _, upload in form.multi_items() if not isinstance(upload, str)]
    finally:
        await form.close()
    if not files:
        raise InvalidRequest.of([Fault("", "no file; send files in parts named 'files'")])
    return files


def parse_json(data: bytes) -> Any:
    """The value of a JSON text.

    NaN and infinity are no JSON, yet some clients send them; they are let through here so that the error that
    follows can name the place.

    Raises:
        MalformedBody: not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            place = f"line {error.lineno}, column {error.colno}"
            raise MalformedBody(f"the body is not JSON: {place}") from None


def negotiate(accept: str, offered: Sequence[str]) -> str:
    """The offered type with the highest quality in an Accept header (RFC 9110, 12.5.1); the first among equals.

    Raises:
        NotAcceptable: none is accepted.
    """
    if accept in ("", "*/*"):
        return offered[0]
    if accept in offered:
        return accept
    ranges = dict(_quality(part) for part in accept.lower().split(",") if part.strip())
    best, best_quality = "", 0.0
    for media_type in offered:
        wildcard = media_type.partition("/")[0] + "/*"
        quality = next((ranges[r] for r in (media_type, wildcard, "*/*") if r in ranges), 0.0)
        if quality > best_quality:
            best, best_quality = media_type, quality
    if not best:
        raise NotAcceptable(f"cannot answer in {accept[:100]!r}; offered are {', '.join(offered)}")
    return best


def _quality(part: str) -> tuple[str, float]:
    media_type, *parameters = (piece.strip() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return media_type, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return media_type, 0.0
    return media_type, 1.0


class Patience:
    """Within it, the task is given up at a deadline or, while it is `watched`, once the client hangs up.

    As `asyncio.timeout`, it cancels the task and raises an error of its own in place of the cancellation: TimeoutError
    or ClientDisconnected. One timer serves both, which looks for the first time after `QUIET_S`: most work is done by
    then.
    """

    QUIET_S = 0.1

    def __init__(self, request: Request, limit_s: float) -> None:
        self._request, self._limit_s = request, limit_s
        self._is_watched = False
        self._watch: asyncio.Task[None] | None = None
        self._error: Exception | None = None

    async def __aenter__(self) -> Self:
        """Of the present task."""
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101 only tasks await
        self._task, self._n_cancelled = task, task.cancelling()
        self._ends_at = self._loop.time() + self._limit_s
        self._timer = self._loop.call_later(min(self._limit_s, self.QUIET_S), self._look)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """No longer."""
        self._timer.cancel()
        self.unwatch()
        if self._error and self._task.uncancel() <= self._n_cancelled and kind is asyncio.CancelledError:
            raise self._error from None

    def watch(self) -> None:
        """From now on; only once the body is read."""
        self._is_watched = True

    def unwatch(self) -> None:
        """No longer."""
        self._is_watched = False
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def renew(self) -> None:
        """As long again."""
        self._ends_at = self._loop.time() + self._limit_s

    def _look(self) -> None:
        left_s = self._ends_at - self._loop.time()
        if left_s <= 0:
            self._give_up(TimeoutError())
            return
        if self._is_watched and self._watch is None:
            self._watch = asyncio.ensure_future(self._until_gone())
        self._timer = self._loop.call_later(left_s if self._watch else min(left_s, self.QUIET_S), self._look)

    async def _until_gone(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            await asyncio.sleep(0)
        self._give_up(ClientDisconnected("the client hung up while waiting"))

    def _give_up(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
            self._task.cancel()
