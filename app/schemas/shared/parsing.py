"""Checking a request body against a task's pydantic model, with errors that name each field."""

import json
import reprlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from app.errors import Fault, InvalidRequest

BodyT = TypeVar("BodyT", bound=BaseModel)
MAX_FAULTS = 16
"""Maximum number of fields that one error names; a body can have millions of unknown fields."""
MAX_ELEMENTS = 2**14
"""Maximum number of elements of a list whose elements pydantic checks, which it does in one go. Inputs of native bodies
are not among them."""
_JSON_NAMES: dict[type, str] = {type(None): "null", bool: "a boolean", str: "a string", list: "a list"}
_OBJECT_TYPES = ("model_type", "model_attributes_type", "dict_type")
"""Names that pydantic gives to the error that a value is no object."""


def parse_body(kind: type[BodyT], values: Any, *, strict: bool, unsuitable: Collection[str] = ()) -> BodyT:
    """Check the values of a body and return it.

    If `strict` is true, as for JSON, a number in quotes is not a number; query parameters are always in quotes. Fields
    that are `unsuitable` for the model are not listed among those that an error calls known.

    Raises:
        InvalidRequest: a field is unknown, missing or out of range; the error names every such field, `MAX_FAULTS` at
            most.
    """
    if not isinstance(values, dict):
        raise InvalidRequest.of(
            [Fault("", f"the body must be an object, and is {_JSON_NAMES.get(type(values), 'a number')}")]
        )
    if faults := list(islice(_faults_of_fields(kind, values, unsuitable), MAX_FAULTS)):
        raise InvalidRequest.of(faults)
    try:
        return kind.model_validate(values, strict=strict)
    except ValidationError as error:
        if error.error_count() > MAX_ELEMENTS:  # to describe each takes a microsecond
            raise InvalidRequest.of([Fault("", f"{error.error_count()} of its values are refused")]) from None
        located = [_Located(dict(details), values) for details in error.errors(include_url=False)]
        raise InvalidRequest.of(list(islice(_faults(located), MAX_FAULTS))) from None


def _faults_of_fields(
    kind: type[BaseModel], values: Mapping[str, Any], unsuitable: Collection[str], place: str = ""
) -> Iterator[Fault]:
    """Yield a fault for each unknown field, and for each list of too many elements, in nested objects as well.

    Pydantic would list all of them, however many, before the first could be reported.
    """
    known = nested_models(kind)
    for name, value in values.items():
        if name not in known:
            suitable = [each for each in known if each not in unsuitable]
            yield Fault(f"{place}{_pointer(name)}", f"unknown field; known are {', '.join(suitable) or 'none'}")
        elif isinstance(value, dict) and (nested := known[name]):
            yield from _faults_of_fields(nested, value, unsuitable, f"{place}{_pointer(name)}")
        elif isinstance(value, list) and len(value) > MAX_ELEMENTS and kind.model_fields[name].annotation is not Any:
            yield Fault(f"{place}{_pointer(name)}", f"it has {len(value)} elements; the limit is {MAX_ELEMENTS}")


@cache
def nested_models(kind: type[BaseModel]) -> Mapping[str, type[BaseModel] | None]:
    """Return for each field of a model the pydantic model that its value may be, or None."""
    return {name: _nested_model(field.annotation) for name, field in kind.model_fields.items()}


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    """Return the pydantic model in a field's annotation, if there is one."""
    kinds = (kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type))
    return next((kind for kind in kinds if issubclass(kind, BaseModel)), None)


def _pointer(part: object) -> str:
    """Return one part of a JSON pointer (RFC 6901), with its slash."""
    return f"/{str(part).replace('~', '~0').replace('/', '~1')}"


class _Located:
    """An error of pydantic with its place in the values.

    Where a field may have one of several types, the location of an error has the name of a type among its parts, and
    each type has errors of its own. `union` is the path up to such a name, and `choice` the name; both are None for
    other fields.
    """

    def __init__(self, error: dict[str, Any], values: Any) -> None:
        self.error = error
        self.path: tuple[str | int, ...] = ()
        self.union: tuple[str | int, ...] | None = None
        self.choice: str | int | None = None
        for part in error["loc"]:
            if _has(values, part):
                self.path = (*self.path, part)
                values = values[part]
            elif error["type"] == "missing" and part == error["loc"][-1]:
                self.path = (*self.path, part)
            elif self.union is None:
                self.union, self.choice = self.path, part

    @property
    def is_about_type(self) -> bool:
        """True if the value is of none of the types that were tried."""
        return str(self.error["type"]).endswith("_type")


def _has(values: Any, part: str | int) -> bool:
    """Return whether a part of a location is a key of these values or an index, and not the name of a type."""
    if isinstance(values, dict):
        return part in values
    return isinstance(values, list) and isinstance(part, int) and part < len(values)


def _faults(errors: Sequence[_Located]) -> Iterator[Fault]:
    """Yield the faults, for a field of several types only those of the type that the value comes closest to."""
    unions: dict[tuple[str | int, ...], dict[str | int | None, list[_Located]]] = {}
    for error in errors:
        if error.union is not None:
            unions.setdefault(error.union, {}).setdefault(error.choice, []).append(error)
    for error in errors:
        if error.union is None:
            yield fault_of(error.path, error.error)
        elif choices := unions.pop(error.union, None):
            yield from _union_faults(list(choices.values()))


def _union_faults(choices: Sequence[Sequence[_Located]]) -> Iterator[Fault]:
    """Yield the faults of the type whose errors lie deepest or, at the same depth, are not about the type itself."""
    deepest = max(len(error.path) for choice in choices for error in choice)
    closest = [choice for choice in choices if any(len(error.path) == deepest for error in choice)]
    closest = [choice for choice in closest if not all(error.is_about_type for error in choice)] or closest
    if len(closest) == 1:
        yield from (fault_of(error.path, error.error) for error in closest[0])
        return
    first = closest[0][0]
    messages = [str(choice[0].error["msg"]) for choice in closest]
    messages = [message[:1].lower() + message[1:] for message in messages]
    yield fault_of(first.path, {**first.error, "msg": "; or ".join(dict.fromkeys(messages))})


def fault_of(path: Sequence[str | int], error: Mapping[str, Any]) -> Fault:
    """Return the fault that one of pydantic's errors is about, at a place in the body."""
    pointer = "".join(map(_pointer, path))
    if error["type"] == "missing":
        return Fault(pointer, "this field is required")
    is_object_missing = error["type"] in _OBJECT_TYPES
    message = "input should be an object" if is_object_missing else error["msg"][:1].lower() + error["msg"][1:]
    given = error["input"]
    shown = json.dumps(given) if given is None or isinstance(given, bool) else reprlib.repr(given)
    return Fault(pointer, f"{shown} is refused: {message}")
