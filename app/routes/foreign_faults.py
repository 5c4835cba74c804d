"""The names that foreign dialects give to the parts of a request, in errors of native tasks and in messages."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from app.errors import Fault, InvalidRequest, MalformedBody
from app.http.error_answers import Problem
from app.http.problems import refused_items
from models.errors import InvalidItems


@contextmanager
def renamed_faults(names: Mapping[str, str]) -> Iterator[None]:
    """Give the faults of refused requests the names that the dialect has for the parts of a native body.

    Raises:
        InvalidRequest, MalformedBody: in place of the same error with native names.
    """
    try:
        yield
    except (InvalidItems, InvalidRequest, MalformedBody) as given:
        error = refused_items(given) if isinstance(given, InvalidItems) else given
        if not error.faults:
            raise error from given
        faults = [Fault(_renamed(fault.pointer, names), _reworded(fault.detail, names)) for fault in error.faults]
        renamed = InvalidRequest.of(faults)
        if isinstance(error, MalformedBody):
            raise MalformedBody(renamed.detail, faults) from given
        raise renamed from given


def _renamed(pointer: str, names: Mapping[str, str]) -> str:
    for native, own in names.items():
        if pointer == f"/{native}" or pointer.startswith(f"/{native}/"):
            return f"/{own}{pointer[len(native) + 1 :]}" if own else pointer[len(native) + 1 :]
    return pointer


def _reworded(detail: str, names: Mapping[str, str]) -> str:
    """Return what is wrong, with the dialect's names for parameters in place of the native ones."""
    for native, own in names.items():
        kind, _, name = native.partition("/")
        if kind == "parameters" and own and name != own:
            detail = re.sub(rf"\b{name}\b", own.rpartition("/")[2], detail)
    return detail


def plain_message(problem: Problem) -> str:
    """Return what an error says, for dialects without pointers; a place is written as `prompt[3]` or `options.seed`."""
    if not problem.faults:
        return problem.detail
    first, *others = problem.faults
    place = field_name(first)
    more = f" (and {len(others)} more)" if others else ""
    return f"{place}: {first.detail}{more}" if place else f"{first.detail}{more}"


def field_name(fault: Fault) -> str:
    """Return the place of a fault as `prompt[3]` or `options.seed`; the empty string for the whole body."""
    name = ""
    for part in fault.pointer.split("/")[1:]:
        name += f"[{part}]" if part.isdecimal() else f".{part}" if name else part
    return name.replace("~1", "/").replace("~0", "~")
