"""The deadline of a request, which the client may choose."""

from starlette.requests import Request

from app.errors import InvalidRequest
from app.http.context import context_in
from app.inference.deadline import Deadline
from app.settings import Settings

MAX_TIMEOUT_DIGITS = 12
"""Maximum number of digits that are accepted in the header `x-timeout-ms`."""


def deadline_of(request: Request, settings: Settings, to_save_time: str, *, default_ms: int | None = None) -> Deadline:
    """Return the deadline that the client asks for by the header `x-timeout-ms`, or the server's default.

    Args:
        request: the request.
        settings: the present settings of the server.
        to_save_time: what the client can do to be answered sooner, for the error.
        default_ms: the time limit of a request that sets none; `default_timeout_ms` if None.

    Raises:
        InvalidRequest: the header is not a whole number from 1 to the server's limit.
    """
    given = context_in(request.scope).header(b"x-timeout-ms")
    if given is None:
        return _deadline(default_ms or settings.default_timeout_ms, settings, to_save_time)
    is_number = given.isdecimal() and given.isascii() and len(given) <= MAX_TIMEOUT_DIGITS
    if not (is_number and 1 <= int(given) <= settings.max_timeout_ms):
        limit = f"it must be a whole number from 1 to {settings.max_timeout_ms}"
        raise InvalidRequest(f"x-timeout-ms is {given[:40]!r}; {limit}")
    return _deadline(int(given), settings, to_save_time)


def _deadline(limit_ms: int, settings: Settings, to_save_time: str) -> Deadline:
    largest = settings.max_timeout_ms
    for_longer = f"; or allow more time by the header x-timeout-ms, at most {largest}" if limit_ms < largest else ""
    return Deadline.after(limit_ms, f"{to_save_time}{for_longer}")
