"""Checking a request body against a task's pydantic model, with errors that name each field."""

import reprlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from app.errors import Fault, InvalidRequest
from app.schemas.shared.envelope import Body

MAX_FAULTS = 16
"""Maximum number of fields that one error names; a body can have millions of unknown fields."""


def parse_body(kind: type[Body], values: Any, *, strict: bool) -> Body:
    """Check the values of a body and return it.

    If `strict` is true, as for JSON, a number in quotes is not a number; query parameters are always in quotes.

    Raises:
        InvalidRequest: a field is unknown, missing or out of range; the error names every such field, `MAX_FAULTS` at
            most.
    """
    if not isinstance(values, dict):
        raise InvalidRequest.of([Fault("", f"expected an object, not {type(values).__name__}")])
    if faults := list(islice(_unknown_fields(kind, values), MAX_FAULTS)):
        raise InvalidRequest.of(faults)
    try:
        return kind.model_validate(values, strict=strict)
    except ValidationError as error:
        named = islice(error.errors(include_url=False), MAX_FAULTS)
        raise InvalidRequest.of([_fault(dict(details)) for details in named]) from None


def _unknown_fields(kind: type[BaseModel], values: Mapping[str, Any], place: str = "") -> Iterator[Fault]:
    """Yield a fault for each unknown field, in nested objects as well.

    Pydantic would list all of them, however many, before the first could be reported.
    """
    fields = kind.model_fields
    for name, value in values.items():
        pointer = f"{place}{_pointer(name)}"
        if name not in fields:
            yield Fault(pointer, f"unknown field; known are {', '.join(fields) or 'none'}")
        elif isinstance(value, dict) and (nested := _nested_model(fields[name].annotation)):
            yield from _unknown_fields(nested, value, pointer)


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    """Return the pydantic model in a field's annotation, if there is one."""
    kinds = (kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type))
    return next((kind for kind in kinds if issubclass(kind, BaseModel)), None)


def _pointer(part: object) -> str:
    """Return one part of a JSON pointer (RFC 6901), with its slash."""
    return f"/{str(part).replace('~', '~0').replace('/', '~1')}"


def _fault(error: dict[str, Any]) -> Fault:
    pointer = "".join(map(_pointer, error["loc"]))
    if error["type"] == "missing":
        return Fault(pointer, "this field is required")
    message = error["msg"][:1].lower() + error["msg"][1:]
    return Fault(pointer, f"{reprlib.repr(error['input'])} is refused: {message}")
