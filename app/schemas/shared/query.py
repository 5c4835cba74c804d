"""Parameters of a task in the query of a URL, for bodies that are not JSON.

A parameter that is an object is given by its members (`noise_type=gaussian&noise_level=0.3`) or as JSON
(`noise={"type": "gaussian", "level": 0.3}`), one that is a list by repeating its name or as JSON.
"""

import json
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from app.errors import Fault, InvalidRequest
from app.schemas.shared.envelope import Body
from app.schemas.shared.parsing import fault_of, nested_models


def query_parameters(kind: type[Body], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the names and values of a query as the `parameters` of a body.

    Unknown names are kept, so that the check of the body refuses them.

    Raises:
        InvalidRequest: a parameter is given twice, or a text is not the JSON that it must be.
    """
    if not pairs:
        return {}
    parameters = nested_models(kind)["parameters"]
    fields = {} if parameters is None else parameters.model_fields
    nested = {} if parameters is None else nested_models(parameters)
    objects = {name: each for name, each in nested.items() if each is not None}
    members = {f"{name}_{member}": (name, member) for name, each in objects.items() for member in each.model_fields}
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name in fields and is_list(fields[name].annotation):
            values.setdefault(name, []).extend(_elements(name, text))
        elif name in fields or name not in members:
            _set(values, name, _read(name, text, objects.get(name)), f"/parameters/{name}")
        else:
            parent, member = members[name]
            given = values.setdefault(parent, {})
            if not isinstance(given, dict):
                raise InvalidRequest.of(
                    [Fault(f"/parameters/{parent}", f"this parameter and {name} exclude each other")]
                )
            _set(given, member, text, f"/parameters/{parent}/{member}")
    return values


def is_list(annotation: Any) -> bool:
    """Return whether a parameter may be a list."""
    return get_origin(annotation) is list or any(map(is_list, get_args(annotation)))


def _set(values: dict[str, Any], name: str, value: Any, pointer: str) -> None:
    if name in values:
        raise InvalidRequest.of([Fault(pointer, "this parameter is given twice")])
    values[name] = value


def _read(name: str, text: str, kind: type[BaseModel] | None) -> str | BaseModel:
    """Return the text of a parameter, or the object of this kind that it is the JSON of."""
    if kind is None:
        return text
    try:
        return kind.model_validate_json(text, strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        raise InvalidRequest.of([fault_of(("parameters", name, *each["loc"]), dict(each)) for each in errors]) from None


def _elements(name: str, text: str) -> list[Any]:
    """Return the elements of a JSON list, or else the text itself, which is then a single element."""
    if not text.lstrip().startswith("["):
        return [text]
    try:
        elements: list[Any] = json.loads(text)
    except ValueError as error:
        raise InvalidRequest.of([Fault(f"/parameters/{name}", f"this is not a list in JSON: {error}")]) from None
    return elements
