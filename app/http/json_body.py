"""Parsing a JSON body: a short one as a whole, a long one in parts."""

import codecs
import json
from typing import Any

import numpy as np

from app.http.body_memory import claim_parsing
from app.http.context import RequestContext
from app.http.json_outline import CHUNK_BYTES, JsonLimits, OutlineReader
from app.http.json_parts import parse_parts
from app.http.json_text import loads, malformed
from app.services import Services
from models.cancellation import stop_if_abandoned

SHORTEST_VALUE, SHORTEST_LIST = len("0,"), len("[],")
"""Lengths in bytes of the shortest value and of the shortest list in JSON."""
_FIRST_NOT_ASCII = 128


def parse_json(data: bytes, limits: JsonLimits) -> Any:
    """Parse a JSON text in UTF-8, UTF-16 or UTF-32.

    One of more than `limits.inline_bytes` bytes belongs on a thread: it is parsed in parts, between which others run.
    NaN, infinity and lone surrogates are accepted as `json_text.loads` says.

    Raises:
        MalformedBody: the text is not JSON; the detail says at which line and column, in characters.
        PayloadTooLarge: a long text has more values, lists or digits than the limits allow, or needs too much memory.
        MemoryExhausted: other requests hold the memory that its values need.
        WorkAbandoned: a long text, and the caller has left.
    """
    claim_parsing(data)
    try:
        if len(data) <= limits.inline_bytes:
            return loads(data)
        text = _in_utf8(data)
    except (ValueError, RecursionError) as error:
        raise malformed(error) from None
    if len(text) > min(SHORTEST_VALUE * limits.max_values, SHORTEST_LIST * limits.max_lists):
        _check_limits(text, limits)
    return parse_parts(text, limits)


def _check_limits(text: bytes, limits: JsonLimits) -> None:
    """Refuse a text that may exceed the limits before any of its values are made: millions take long to free."""
    for _ in OutlineReader(text, limits).read():
        stop_if_abandoned()


async def read_json(data: bytes, services: Services, context: RequestContext) -> Any:
    """Return the values of a JSON body; a long one is parsed on a thread, and its values are freed on one.

    Raises:
        MalformedBody, PayloadTooLarge, MemoryExhausted: as `parse_json` says.
    """
    settings = services.settings
    if len(data) <= settings.inline_bytes:
        return parse_json(data, settings)
    large_values = context.keep_large_values()
    values = await services.pools.run(parse_json, data, settings, n_bytes=len(data))
    large_values.keep(values)
    return values


def _in_utf8(data: bytes) -> bytes:
    """Return a text in UTF-8, without a byte order mark; it may have surrogates.

    Raises:
        UnicodeDecodeError: the text is in no encoding of JSON.
    """
    encoding = json.detect_encoding(data)
    if encoding == "utf-8" and np.frombuffer(data, np.uint8).max() < _FIRST_NOT_ASCII:  # releases the lock
        return data
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    parts: list[bytes] = []
    for start in range(0, len(data), CHUNK_BYTES):
        stop_if_abandoned()
        n_held = len(decoder.getstate()[0])  # bytes of a character that began in the last chunk
        try:
            text = decoder.decode(data[start : start + CHUNK_BYTES], final=start + CHUNK_BYTES >= len(data))
        except UnicodeDecodeError as error:
            error.start += start - n_held
            raise
        if encoding != "utf-8":
            parts.append(text.encode("utf-8", "surrogatepass"))
    return b"".join(parts) if parts else data
