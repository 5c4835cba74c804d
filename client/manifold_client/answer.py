"""The answer of a task, and the conversion of JSON to the classes of its outputs."""

import base64
import io
import types
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from functools import cache
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, overload

import numpy as np
from numpy.typing import NDArray

from manifold_client.errors import ServerFailed

OutputT = TypeVar("OutputT")

Numbers = NDArray[Any]
"""Numbers of an answer: floats, as an array of the shape that the server sends."""


@dataclass(frozen=True)
class Answer(Generic[OutputT]):
    """The answer of a task. It is a sequence of its outputs.

    Attributes:
        model: id of the model that answered.
        outputs: an output for each input, in order.
        usage: counts of items, tokens, and of what was cut.
        warnings: what seems wrong with inputs that were accepted.
        more: further fields of the answer, which are about all outputs together.
    """

    model: str
    outputs: list[OutputT]
    usage: dict[str, int]
    warnings: list[dict[str, str]]
    more: dict[str, Any]

    def __len__(self) -> int:
        return len(self.outputs)

    def __iter__(self) -> Iterator[OutputT]:
        return iter(self.outputs)

    @overload
    def __getitem__(self, index: int) -> OutputT: ...
    @overload
    def __getitem__(self, index: slice) -> list[OutputT]: ...
    def __getitem__(self, index: int | slice) -> OutputT | list[OutputT]:
        return self.outputs[index]

    def array(self, field: str | None = None) -> Numbers:
        """Return one field of all outputs as an array `[n, …]`; without a name, the first field of each.

        Embeddings that were asked for in base64 become float32.

        Raises:
            ValueError: the outputs differ in shape and form no array.
        """
        name = self._name(field)
        values = [getattr(output, name) for output in self.outputs]
        if name == "embedding":
            values = [np.frombuffer(base64.b64decode(v), "<f4") if isinstance(v, str) else v for v in values]
        return np.stack([np.asarray(value) for value in values])

    def images(self, field: str | None = None) -> list[Any]:
        """Return one field of all outputs as Pillow pictures; without a name, the first field of each.

        The field holds numbers in [0, 1] of the shape `[channels, height, width]` or `[height, width]`, or the `data:`
        URL that `format="png"` asks for. This method needs the package `pillow`.

        Raises:
            ValueError: the field does not hold a picture.
        """
        name = self._name(field)
        return [_image(getattr(output, name)) for output in self.outputs]

    def frame(self) -> Any:
        """Return the outputs as a table of pandas, with a row for each and a column for each field that has a value.

        This method needs the package `pandas`.
        """
        import pandas as pd

        rows = [_row(output) for output in self.outputs]
        named = [name for name in (rows[0] if rows else {}) if any(row[name] is not None for row in rows)]
        return pd.DataFrame([{name: row[name] for name in named} for row in rows])

    def _name(self, field: str | None) -> str:
        """Return the name of a field; without a name, that of the first field that this answer has."""
        if field is not None or not self.outputs:
            return field or ""
        return next(name for name, value in vars(self.outputs[0]).items() if value is not None)


def parse_answer(kind: type[OutputT], content: Mapping[str, Any]) -> Answer[OutputT]:
    """Return the answer of a task from its JSON.

    Raises:
        ServerFailed: the content is not the answer of a task.
    """
    if not isinstance(content, Mapping) or not {"model", "outputs", "usage"} <= content.keys():
        raise ServerFailed("the answer is not that of a task; is this a server of Manifold?")
    known = ("model", "outputs", "usage", "warnings")
    return Answer(
        model=content["model"],
        outputs=[parse(kind, output) for output in content["outputs"]],
        usage=content["usage"],
        warnings=content.get("warnings") or [],
        more={name: value for name, value in content.items() if name not in known},
    )


def parse(kind: Any, value: Any) -> Any:
    """Return a JSON value as an object of a type: a class of results, a list of these, numbers, or a plain value.

    Fields that the class does not have, as a newer server may send, are left out.
    """
    if value is None:
        return None
    if isinstance(kind, type) and is_dataclass(kind):
        return kind(**{name: parse(hint, value[name]) for name, hint in _hints(kind).items() if name in value})
    if get_origin(kind) in (Union, types.UnionType):
        return _parse_union([choice for choice in get_args(kind) if choice is not type(None)], value)
    if kind == Numbers:
        return _numbers(value)
    if get_origin(kind) is list and isinstance(value, list):
        (member,) = get_args(kind)
        return [parse(member, each) for each in value]
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _parse_union(choices: list[Any], value: Any) -> Any:
    for choice in choices:
        if is_dataclass(choice) and isinstance(value, dict):
            return parse(choice, value)
        if (choice == Numbers or get_origin(choice) is list) and isinstance(value, list):
            return parse(choice, value)
        if choice in (str, int, float, bool) and isinstance(value, choice):
            return value
        if get_origin(choice) is Literal:
            return value
    return value


def _numbers(value: Any) -> Any:
    """Return nested lists as an array; as they are if they form none, or if they are no numbers."""
    try:
        array = np.asarray(value)
    except ValueError:
        return value
    return array if array.dtype.kind in "fiub" else value


def _image(value: Any) -> Any:
    from PIL import Image

    if isinstance(value, str) and value.startswith("data:"):
        return Image.open(io.BytesIO(base64.b64decode(value.partition(",")[2])))
    array = np.asarray(value)
    if array.ndim == 3:
        array = array[0] if len(array) == 1 else np.moveaxis(array, 0, -1)
    if array.ndim not in (2, 3):
        raise ValueError(f"numbers of the shape {np.asarray(value).shape} are not a picture")
    return Image.fromarray(np.clip(np.rint(array * 255), 0, 255).astype(np.uint8))


def _row(output: Any) -> dict[str, Any]:
    return asdict(output) if is_dataclass(output) and not isinstance(output, type) else {"output": output}
