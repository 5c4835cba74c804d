"""How much of the bytes that have arrived is parsed at once, and what they are a part of."""

from collections.abc import Iterable
from enum import Enum

import httptools

MAX_PIPELINED = 16
"""Number of requests of one connection that may wait for the answers to earlier ones; those behind are not parsed."""
SLICE_BYTES = 2**14
"""Maximum number of bytes that are parsed between two looks at the clock and at the number of waiting requests."""
PARSING_S = 0.005
"""Time in seconds after which the rest of what has arrived is left to the next iteration of the event loop."""

_FRAMING = (b"content-length", b"transfer-encoding")
"""Names of the headers that determine where a body ends."""
_END_OF_HEAD = b"\r\n\r\n"


class Reading(Enum):
    """The part of a request that is arriving."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"


def may_hold_many(data: bytes) -> bool:
    """Return whether bytes may hold more than one request, or a body in so many pieces that parsing them takes long.

    JSON and the binary formats have few carriage returns or none, and every line of HTTP ends with one. To look for one
    takes about a microsecond for each 100 kB.
    """
    first = data.find(_END_OF_HEAD, 0, SLICE_BYTES)
    if first < 0 and len(data) <= SLICE_BYTES:
        return False
    return data.find(b"\r", first + len(_END_OF_HEAD)) >= 0


def end_of_slice(data: bytes, start: int, n_requests: int) -> int:
    """Return where to stop so that at most `n_requests` heads end in `data[start:end]`, besides one that had begun."""
    limit = min(start + SLICE_BYTES, len(data))
    end = start
    for _ in range(n_requests):
        found = data.find(_END_OF_HEAD, end, limit)
        if found < 0:
            return limit
        end = found + len(_END_OF_HEAD)
    return end


def framing_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that determine where the body ends."""
    return [header for header in headers if header[0] in _FRAMING]


def feed_head(parser: httptools.HttpRequestParser, framing: Iterable[tuple[bytes, bytes]]) -> None:
    """Make a new parser expect the body of a request with this framing."""
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % b"".join(b"%s: %s\r\n" % header for header in framing))
