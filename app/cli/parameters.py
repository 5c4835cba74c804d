"""Options of the command line for the parameters of a task, made from their pydantic models.

A parameter that is an object has an option for each member: `noise` is `--noise-type` and `--noise-level`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import click
from typing_extensions import override

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

PREFIX, SEPARATOR = "parameter__", "__"
"""Beginning of the names of these options in click's values, which no other option has, and what joins their parts."""


@dataclass(frozen=True, slots=True)
class ParameterOption:
    """The option of a parameter.

    Attributes:
        path: the name of the parameter and, for an object, that of the member.
        option: the option.
    """

    path: tuple[str, ...]
    option: click.Option


class JsonValue(click.ParamType[Any]):
    """A value that is written as JSON."""

    name = "JSON"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return json.loads(value)
        except ValueError as error:
            self.fail(f"{value!r} is not JSON: {error}.", param, ctx)


def parameter_options(parameters: "type[BaseModel]") -> list[ParameterOption]:
    """Return an option for each parameter of a task."""
    return [*_options(parameters, ())]


def _options(model: "type[BaseModel]", parents: tuple[str, ...]) -> Iterator[ParameterOption]:
    from app.schemas.shared.parsing import nested_models

    for name, nested in nested_models(model).items():
        if nested is not None:
            yield from _options(nested, (*parents, name))
        else:
            yield ParameterOption((*parents, name), _option((*parents, name), model.model_fields[name]))


def _option(path: tuple[str, ...], field: "FieldInfo") -> click.Option:
    name = option_of(path)
    kinds = [*_alternatives(field.annotation)]
    elements = [element for kind in kinds if get_origin(kind) is list for element in _alternatives(get_args(kind)[0])]
    is_flag = kinds == [bool]
    return click.Option(
        [f"{name}/--no-{name[2:]}" if is_flag else name, PREFIX + SEPARATOR.join(path)],
        type=None if is_flag else _click_type(elements or kinds),
        default=None,
        multiple=bool(elements),
        help=_help(field),
    )


def option_of(path: Iterable[str]) -> str:
    """Return the option of a parameter, or of a member of one: `--noise-level`."""
    return f"--{'-'.join(path).replace('_', '-')}"


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the types that a value may have, without names for types, annotations and None."""
    origin = get_origin(annotation)
    if hasattr(annotation, "__value__"):  # a type with a name
        yield from _alternatives(annotation.__value__)
    elif origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for kind in get_args(annotation):
            yield from _alternatives(kind)
    elif annotation is not NoneType:
        yield annotation


def _click_type(kinds: Sequence[Any]) -> "click.ParamType[Any]":
    """Return the type of an option that may have values of these types."""
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices:
        return click.Choice(choices)
    if str in kinds:
        return click.STRING
    known: dict[Any, click.ParamType[Any]] = {int: click.INT, float: click.FLOAT}
    return known.get(kinds[0], JsonValue()) if len(kinds) == 1 else JsonValue()


def _help(field: "FieldInfo") -> str:
    """Return the description of a parameter and its default, which descriptions tell themselves where it is none."""
    text = (field.description or "").replace("`", "")
    if field.is_required() or field.default in (None, False, []):
        return text
    return f"{text}  [default: {'on' if field.default is True else field.default}]"


def parameters_in(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that were given, among the values of all options of a command."""
    parameters: dict[str, Any] = {}
    for name, value in values.items():
        if name.startswith(PREFIX) and value not in (None, ()):
            *parents, last = name.removeprefix(PREFIX).split(SEPARATOR)
            target = parameters
            for parent in parents:
                target = target.setdefault(parent, {})
            target[last] = [*value] if isinstance(value, tuple) else value
    return parameters
