"""Content types: reading a body within its limit, and choosing the type of the answer."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

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


def content_type(request: Request) -> str:
    """The body's media type without its parameters; JSON where the client names none."""
    return request.headers.get("content-type", JSON).partition(";")[0].strip().lower()


async def limited_stream(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body in chunks; stops reading at the first byte too many.

    Raises:
        PayloadTooLarge: more than `max_bytes` are announced or arrive.
        ClientDisconnected: the client hung up before the end.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise PayloadTooLarge(f"the body has {announced} bytes; the limit is {max_bytes}")
    n_bytes = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("the client hung up while sending")
        chunk = cast("bytes", message.get("body", b""))
        n_bytes += len(chunk)
        if n_bytes > max_bytes:
            raise PayloadTooLarge(f"the body has more than {max_bytes} bytes, the limit")
        yield chunk
        if not message.get("more_body", False):
            return


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body; see `limited_stream`."""
    return b"".join([chunk async for chunk in limited_stream(request, max_bytes)])


async def read_files(request: Request, max_bytes: int, max_files: int) -> list[bytes]:
    """The parts named `files` of a multipart body, in order.

    Raises:
        MalformedBody: not multipart as its header promises.
        InvalidRequest: a part of another name, or no file at all.
    """
    parser = MultiPartParser(
        request.headers, limited_stream(request, max_bytes), max_files=max_files, max_fields=max_files
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
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


class UnlessHungUp:
    """Within it, the task is given up once the client closes the connection. Only to be entered once the body is read.

    As `asyncio.timeout` does for a deadline, it cancels the task and raises an error of its own in place of the
    cancellation: ClientDisconnected. It looks only after `QUIET_S`, for most work is done by then.
    """

    QUIET_S = 0.1

    def __init__(self, request: Request) -> None:
        self._request = request
        self._watch: asyncio.Task[None] | None = None
        self._is_gone = False

    async def __aenter__(self) -> None:
        """Of the present task."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 only tasks await
        self._task, self._n_cancelled = task, task.cancelling()
        self._timer = asyncio.get_running_loop().call_later(self.QUIET_S, self._look)

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """No longer."""
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if self._is_gone and self._task.uncancel() <= self._n_cancelled and kind is asyncio.CancelledError:
            raise ClientDisconnected("the client hung up while waiting") from None

    def _look(self) -> None:
        self._watch = asyncio.ensure_future(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            await asyncio.sleep(0)
        self._is_gone = True
        self._task.cancel()
