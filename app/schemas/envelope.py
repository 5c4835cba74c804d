"""The one envelope of every task: `{"model", "inputs", "parameters"}` in, `{"model", "outputs", "usage"}` out."""

import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import Annotated, Any, Literal, Protocol, cast, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import Fault, InvalidRequest
from models.codecs import Codec, ImageCodec, ItemCodec, TextCodec, VectorCodec
from models.codecs.arrays import Limits, check_count
from models.codecs.text.codec import checked
from models.errors import InvalidItems, Problem
from models.tasks import Request, Task
from models.tasks.text import Progress, Tokens

MAX_FAULTS = 16
"""Fields named in one error; a body can have millions of unknown ones."""


class Strict(BaseModel):
    """Unknown fields are refused, so that a misspelt one is never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Parameters(Strict):
    """Base of a task's parameters."""


class ItemIn(Parameters):
    """Parameters of tasks that take items."""

    fit: Literal["contain", "cover", "stretch"] = Field(
        "contain", description="How an encoded image of another size is brought to the model's."
    )


class ItemOut(Parameters):
    """Parameters of tasks that answer with items."""

    format: Literal["array", "png"] = Field("array", description="Images as nested numbers, or as `data:` URLs.")


Seed = Annotated[int, Field(ge=0, lt=2**63)]
Item = list[Any] | str


class Body(Strict):
    """What a task is asked. A task's own body adds its `parameters`."""

    model: str | None = Field(None, description="A model's id; the task's default where left out.")


class ItemsBody(Body):
    """What a task with items is asked."""

    inputs: Any = Field(description="A list of items, or one bare item.")


class Usage(BaseModel):
    """What the answer cost."""

    items: int = Field(description="Items answered.")
    tokens: int | None = Field(None, description="Tokens of the texts that were read.")
    generated_tokens: int | None = Field(None, description="Tokens that were made.")


class Answer(BaseModel):
    """What a task answers. A task's own answer adds its `outputs`, one entry an input, in order."""

    model: str = Field(description="The model that answered.")
    usage: Usage


@dataclass(frozen=True, kw_only=True)
class Codecs:
    """The codecs of one model."""

    items: Codec
    latents: VectorCodec
    labels: tuple[str, ...] = ()

    @property
    def texts(self) -> TextCodec:
        """The codec of a model of texts."""
        return cast("TextCodec", self.items)

    @property
    def n_elements(self) -> int:
        """Of one item, as the model was trained on."""
        return prod(self.items.shape)


class Writer(Protocol):
    """Turns what is made by steps into what is answered."""

    def hear(self, index: int, progress: Progress) -> bool:
        """What is new of a request; whether that text is to end here."""

    def events(self) -> list[dict[str, Any]]:
        """What is new since it was last asked, as the events of a stream."""


@dataclass(frozen=True, kw_only=True)
class Schema:
    """How one task looks on the wire.

    `requests` turns a body into task requests; `outputs` and `array` turn the results into JSON's `outputs` and into
    the main array `[n, …]`, None where the outputs are no array; `summary` is what is said once for all of them. They
    may take long and are safe to call on any thread; `n_numbers` tells how many numbers the results are, where nothing
    else is made of them, else None. `usage` adds to the count of items. Tasks made by steps bring a `writer`, which
    hears of each of them.
    """

    task: Task
    body: type[Body]
    answer: type[Answer]
    requests: Callable[[Any, Codecs, Limits], list[Request]]
    outputs: Callable[[Sequence[Any], Sequence[Any], Any, Codecs], list[dict[str, Any]]]
    array: Callable[[Sequence[Any], Codecs], NDArray[np.float32]] | None = None
    n_numbers: Callable[[Sequence[Any]], int | None] = lambda results: None
    summary: Callable[[Sequence[Any]], dict[str, Any]] = lambda results: {}
    usage: Callable[[Sequence[Any], Sequence[Any]], dict[str, int]] = lambda requests, results: {}
    writer: Callable[[Sequence[Any], Any, Codecs], Writer] | None = None
    modality: Literal["item", "text"] = "item"
    takes_images: bool = False
    answers_images: bool = False

    @property
    def name(self) -> str:
        """The task's."""
        return self.task.name

    @property
    def takes_arrays(self) -> bool:
        """Whether a body may be a NumPy file."""
        return "inputs" in self.body.model_fields and self.modality != "text"


@dataclass(frozen=True, kw_only=True)
class CodecSchema:
    """How a task looks on the wire that a model's codec answers alone."""

    name: str
    body: type[Body]
    answer: type[Answer]
    outputs: Callable[[Any, Codecs, Limits], list[dict[str, Any]]]


def parse_body(kind: type[Body], values: Any, *, strict: bool) -> Body:
    """Check a body; `strict` for JSON, where a number in quotes is no number.

    Raises:
        InvalidRequest: names every field that is unknown, missing or out of range.
    """
    if not isinstance(values, dict):
        raise InvalidRequest.of([Fault("", f"expected an object, not {type(values).__name__}")])
    if strangers := list(islice(_strangers(kind, values), MAX_FAULTS)):
        raise InvalidRequest.of(strangers)
    try:
        return kind.model_validate(values, strict=strict)
    except ValidationError as error:
        named = islice(error.errors(include_url=False), MAX_FAULTS)
        raise InvalidRequest.of([_fault(dict(e)) for e in named]) from None


def _strangers(kind: type[BaseModel], values: Mapping[str, Any], place: str = "") -> Iterator[Fault]:
    """Unknown fields, of what is an object in there as well; pydantic would list them all before the first is told."""
    fields = kind.model_fields
    for name, value in values.items():
        pointer = f"{place}{_pointer(name)}"
        if name not in fields:
            yield Fault(pointer, f"unknown field; known are {', '.join(fields) or 'none'}")
        elif isinstance(value, dict) and (inner := _model_of(fields[name].annotation)):
            yield from _strangers(inner, value, pointer)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """What a field's object is, where it may be one."""
    kinds = (kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type))
    return next((kind for kind in kinds if issubclass(kind, BaseModel)), None)


def items_of(body: Any, codecs: Codecs, limits: Limits, *, gaps: bool = False) -> list[Any]:
    """The body's items as the model's tensors; with `gaps`, null becomes NaN."""
    fit = {"fit": body.parameters.fit} if isinstance(codecs.items, ImageCodec) else {}
    return cast("ItemCodec", codecs.items).decode(body.inputs, limits, gaps=gaps, **fit)


class TextParameters(Parameters):
    """Parameters of tasks that read texts."""

    truncate: bool = Field(False, description="Cut texts that are longer than the model's context, at their end.")


def tokens_of(body: Any, codecs: Codecs, limits: Limits) -> list[Tokens]:
    """The body's texts as the model reads them."""
    texts = codecs.texts.texts(body.inputs, limits)
    return codecs.texts.tokens(texts, truncate=body.parameters.truncate)


def parts_of(values: Any, parts: Mapping[str, type], limits: Limits) -> list[dict[str, Any]]:
    """Items that are objects of exactly these parts: texts, or (`list`) lists of at least one text.

    Raises:
        InvalidItems: one is not, or there are too many items or texts.
    """
    items = values if isinstance(values, list) else [values]
    n_texts = sum(len(part) for item in items if isinstance(item, dict) for part in item.values() if type(part) is list)
    check_count(len(items) + n_texts, limits.max_items)
    return [_parts(item, number, parts, limits) for number, item in enumerate(items)]


def _parts(item: Any, number: int, parts: Mapping[str, type], limits: Limits) -> dict[str, Any]:
    names = ", ".join(f'"{name}"' for name in parts)
    if not isinstance(item, dict) or set(item) != set(parts):
        raise InvalidItems(Problem(f"the item must be an object of {names}", number))
    try:
        return {
            name: checked(item[name], limits)
            if kind is str
            else [checked(text, limits) for text in _listed(item[name])]
            for name, kind in parts.items()
        }
    except ValueError as error:
        raise InvalidItems(Problem(str(error), number)) from None


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError("candidates must be a list of at least one text")
    return value


def n_tokens(requests: Sequence[Any], results: Sequence[Any]) -> dict[str, int]:
    """The usage of tasks whose requests cost their tokens."""
    return {"tokens": sum(request.cost for request in requests)}


def present(item: Any, parameters: ItemOut, codecs: Codecs) -> Any:
    """An item as numbers or, if asked and possible, as a `data:` URL.

    Raises:
        InvalidRequest: PNG is asked of a model whose items are no images.
    """
    array = cast("ItemCodec", codecs.items).encode(item.numpy())
    if parameters.format == "array":
        return array
    if not isinstance(codecs.items, ImageCodec):
        raise InvalidRequest.of([Fault("/parameters/format", "png needs a model of images; this model's are not")])
    return codecs.items.data_url(array)


def stack(items: Sequence[Any], codecs: Codecs) -> NDArray[np.float32]:
    """Items as one array; see `stack_equal`."""
    codec = cast("ItemCodec", codecs.items)
    return stack_equal([codec.encode(item.numpy()) for item in items])


def stack_equal(arrays: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Arrays as one.

    Raises:
        InvalidRequest: they differ in shape.
    """
    if len({array.shape for array in arrays}) > 1:
        raise InvalidRequest("the answer's items differ in length and make no array; accept application/json")
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)


def _pointer(part: object) -> str:
    """RFC 6901."""
    return f"/{str(part).replace('~', '~0').replace('/', '~1')}"


def _fault(error: dict[str, Any]) -> Fault:
    pointer = "".join(map(_pointer, error["loc"]))
    if error["type"] == "missing":
        return Fault(pointer, "this field is required")
    message = error["msg"][:1].lower() + error["msg"][1:]
    return Fault(pointer, f"{reprlib.repr(error['input'])} is refused: {message}")
