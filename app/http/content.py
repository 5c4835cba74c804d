"""Reading a request's body within its limits, and choosing the media type of the answer."""

import sys
import time
import zlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import cast

from starlette.requests import Request

from app.concurrency.request_memory import MemoryShare
from app.concurrency.worker_pools import MAX_SHORT_BYTES, WorkerPools
from app.errors import (
    ClientDisconnected,
    MalformedBody,
    NotAcceptable,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from app.http.context import context_in
from models.sounds.files import has_sound_files

JSON = "application/json"
NPY = "application/x-npy"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
NDJSON = "application/x-ndjson"
PNG = "image/png"
EVENTS = "text/event-stream"
MULTIPART = "multipart/form-data"
IMAGES = (PNG, "image/jpeg", "image/webp")
WAV = "audio/wav"
FLAC = "audio/flac"
SOUNDS = (WAV, FLAC, "audio/ogg", "audio/x-wav", "audio/vnd.wave", "audio/x-flac")
"""The types of files of sound, and the names that some clients give to them."""

PYARROW = "pyarrow: pip install -c constraints.txt -e '.[parquet]'"
"""What reads and writes Parquet, and how to install it, as the end of an error."""
CODINGS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""The content codings that are taken (RFC 9110, 8.4.1), each with zlib's number for its format."""
MAX_INFLATION = 1032
"""Most bytes that a compressed byte of gzip or deflate decodes to."""
MAX_DIGITS = 20
"""Maximum number of digits of a body's length, without zeros before them."""


@cache
def reads_sounds() -> bool:
    """Return whether files of sound are read: where their libraries are, on Linux, which limits a process's memory."""
    return sys.platform == "linux" and has_sound_files()


@cache
def has_parquet() -> bool:
    """Return whether pyarrow is installed, which reads and writes Parquet."""
    return find_spec("pyarrow") is not None


def content_type(request: Request) -> str:
    """Return the media type of the body without its parameters, in lower case; JSON if the client names none."""
    given = context_in(request.scope).header(b"content-type")
    return JSON if given is None else given.partition(";")[0].strip().lower()


async def read_body(request: Request, max_bytes: int, pools: WorkerPools) -> bytes:
    """Receive the whole body and decode its content coding. From then on, the request ends if the client hangs up.

    Raises:
        PayloadTooLarge: more than `max_bytes` bytes are announced, received or decoded.
        UnsupportedMediaType: the content coding is neither gzip nor deflate.
        MalformedBody: the body is not compressed as its header promises.
        ClientDisconnected: the client hung up before the end.
    """
    context = context_in(request.scope)
    coding = "identity"
    if b"content-encoding" in context.headers:
        given = [value for name, value in request.scope["headers"] if name == b"content-encoding"]
        coding = b", ".join(given).strip(b" \t").decode("latin-1").lower() or coding  # one list (RFC 9110, 5.3)
    if coding != "identity" and coding not in CODINGS:
        detail = f"the content coding {coding[:100]!r} is not supported; send gzip, deflate or none"
        raise UnsupportedMediaType(detail, headers={"accept-encoding": "gzip, deflate"})  # RFC 9110, 15.5.16
    announced = context.header(b"content-length") or ""
    if announced.isdecimal() and _is_more(announced, max_bytes):
        raise PayloadTooLarge(f"the body has {announced[:MAX_DIGITS]} bytes; the limit is {max_bytes}")
    chunks: list[bytes] = []
    n_bytes, is_complete = 0, False
    while not is_complete:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("the client hung up while sending")
        chunk = cast("bytes", message.get("body", b""))
        n_bytes += len(chunk)
        if n_bytes > max_bytes:
            raise PayloadTooLarge(f"the body has more than {max_bytes} bytes, the limit")
        if chunk:
            context.memory.claim(len(chunk))
        chunks.append(chunk)
        is_complete = not message.get("more_body", False)
    context.received_at = time.monotonic()
    context.timer.watch_client()
    data = chunks[0] if len(chunks) == 1 else await _join(chunks, context.memory, pools)
    if coding == "identity":
        return data
    n_decoded = min(max_bytes, MAX_INFLATION * n_bytes)
    context.memory.claim(2 * n_decoded)  # the parts, and the body that they are joined to
    decoded = await pools.run(decompress, data, coding, max_bytes, n_bytes=max_bytes)
    context.memory.correct(2 * n_decoded + n_bytes, len(decoded))
    return decoded


async def _join(chunks: list[bytes], memory: MemoryShare, pools: WorkerPools) -> bytes:
    """Return the whole body. For a moment, there are both the chunks and the body."""
    n_bytes = sum(map(len, chunks))
    memory.claim(n_bytes)
    if n_bytes <= MAX_SHORT_BYTES:
        data = b"".join(chunks)
    else:
        data = await pools.run(b"".join, chunks, n_bytes=n_bytes)
    chunks.clear()
    memory.give_back(n_bytes)
    return data


def _is_more(digits: str, limit: int) -> bool:
    """Return whether a number that a client has written, with any number of zeros before it, is more than a limit."""
    if len(digits) > MAX_DIGITS:
        digits = digits.lstrip("0") or "0"
    return len(digits) > MAX_DIGITS or int(digits) > limit


def decompress(data: bytes, coding: str, max_bytes: int) -> bytes:
    """Decode a body in one of `CODINGS`. One of gzip (RFC 1952) may have several members.

    Raises:
        PayloadTooLarge: it decodes to more than `max_bytes` bytes.
        MalformedBody: it is in another format, or ends too early.
    """
    decoded: list[bytes] = []
    n_left = max_bytes
    while data:
        member = zlib.decompressobj(wbits=CODINGS[coding])
        try:
            decoded.append(member.decompress(data, n_left + 1))
        except zlib.error as error:
            raise MalformedBody(f"the body is not {coding}, as its content-encoding says") from error
        n_left -= len(decoded[-1])
        if n_left < 0:
            raise PayloadTooLarge(f"the body decodes to more than {max_bytes} bytes, the limit")
        if not member.eof:
            raise MalformedBody(f"the {coding} body ends too early")
        data = member.unused_data
    return b"".join(decoded)


def compress(data: bytes, coding: str) -> bytes:
    """Return data in one of `CODINGS`, compressed as fast as possible."""
    compressor = zlib.compressobj(zlib.Z_BEST_SPEED, wbits=CODINGS[coding])
    return compressor.compress(data) + compressor.flush()


def negotiate(accept: str, offered: Sequence[str]) -> str:
    """Return the offered type with the highest quality in an Accept header (RFC 9110, 12.5.1), the first among equals.

    Raises:
        NotAcceptable: none is accepted.
    """
    if accept in ("", "*/*"):
        return offered[0]
    if accept in offered:
        return accept
    ranges = dict(_media_range(part) for part in accept.lower().split(",") if part.strip())
    best, best_quality = "", 0.0
    for media_type in offered:
        wildcard = media_type.partition("/")[0] + "/*"
        quality = next((ranges[name] for name in (media_type, wildcard, "*/*") if name in ranges), 0.0)
        if quality > best_quality:
            best, best_quality = media_type, quality
    if not best:
        raise NotAcceptable(f"cannot answer in {accept[:100]!r}, only in {', '.join(offered)}")
    return best


def _media_range(part: str) -> tuple[str, float]:
    """Parse one part of an Accept header into its media range and its quality."""
    media_type, *parameters = (piece.strip() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return media_type, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return media_type, 0.0
    return media_type, 1.0
