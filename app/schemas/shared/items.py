"""Reading the inputs of a body by the model's codec, and rendering items into answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np

from app.errors import InvalidRequest
from app.schemas.shared.envelope import ItemInputParameters, ItemOutputParameters, TextParameters
from app.schemas.shared.task_schema import ModelCodecs
from models.codecs import AudioCodec, Codec, ImageCodec, ItemCodec, SentenceCodec, TableCodec, TableSeriesCodec
from models.codecs.arrays import MAX_PROBLEMS, ArrayCodec, Floats, Limits, check_count, limit_problems
from models.codecs.text import TextCodec, TextItem
from models.errors import InvalidItems, Problem
from models.pictures.placing import PictureOptions
from models.sounds.files import INSTALLATION, has_sound_files
from models.tasks.text import Tokens

_FORMATS: dict[str, tuple[type[Codec], str]] = {
    "png": (ImageCodec, "images"),
    "wav": (AudioCodec, "sounds"),
    "flac": (AudioCodec, "sounds"),
}
"""The codecs of the items that are answered in each format but numbers, and what errors call these items."""
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def decode_items(
    body: Any, codecs: ModelCodecs, limits: Limits, *, gaps: bool = False, any_length: bool = False
) -> list[Any]:
    """Return the body's items as tensors of the model's shape.

    With `gaps`, null or NaN stands for a missing element and becomes NaN; otherwise it is refused. With `any_length`,
    series may be longer than the windows that the model was trained on.

    Raises:
        InvalidItems: an item has a wrong shape, range or type, there are too many, or a parameter is not for them.
    """
    parameters = body.parameters
    check_format(parameters, codecs)
    options = picture_options(parameters)
    if isinstance(codecs.items, ImageCodec):
        return codecs.items.decode(body.inputs, limits, options=options, gaps=gaps, warn=codecs.warnings.append)
    for name in options.given():
        raise InvalidItems(Problem("this is for images, and this model's items are not images", parameter=name))
    if isinstance(codecs.items, TableCodec):
        return codecs.items.decode(body.inputs, limits, gaps=gaps, warn=codecs.warnings.append)
    if isinstance(codecs.items, TableSeriesCodec):
        warn = codecs.warnings.append
        codecs.series = codecs.items.read(body.inputs, limits, gaps=gaps, any_length=any_length, warn=warn)
        return [series.steps for series in codecs.series]
    return cast("ItemCodec", codecs.items).decode(body.inputs, limits, gaps=gaps)


def decode_sentences(body: Any, codecs: ModelCodecs, limits: Limits, *, gaps: bool = False) -> list[Any]:
    """Return the tokens of the body's sentences; with `gaps`, null stands for an unknown word in a list of words.

    Raises:
        InvalidItems: an item is no sentence, or too long, or there are too many.
    """
    return cast("SentenceCodec", codecs.items).decode(body.inputs, limits, gaps=gaps)


def as_list(inputs: Any) -> list[Any]:
    """Return the inputs of a body as a list, if they may be a single item that is no list itself."""
    return inputs if isinstance(inputs, list) else [inputs]


def picture_options(parameters: ItemInputParameters) -> PictureOptions:
    """Return what the parameters say about encoded images."""
    return PictureOptions(fit=parameters.fit, invert=parameters.invert, centre=parameters.centre)


def check_format(parameters: Any, codecs: ModelCodecs) -> None:
    """Check that items of the model can be answered in the format that is asked for.

    Raises:
        InvalidItems: the format is for other items.
        InvalidRequest: files of sound are asked for, and the libraries that write them are not installed.
    """
    form = getattr(parameters, "format", None)
    if form in _FORMATS:
        codec, name = _FORMATS[form]
        if not isinstance(codecs.items, codec):
            raise InvalidItems(Problem(f"{form} is only for models whose items are {name}", parameter="format"))
        if codec is AudioCodec and not has_sound_files():
            raise InvalidRequest(f"files of sound are written by {INSTALLATION}")


def tokenize_inputs(body: Any, codecs: ModelCodecs, limits: Limits, *, prompt: str = "") -> list[Tokens]:
    """Return the tokens of each of the body's texts, which the prompt stands before.

    Raises:
        InvalidItems: an item is not a text, or is longer than the model's context and `truncate` is false.
    """
    return tokenize_items(codecs.texts.parse(body.inputs, limits), body.parameters, codecs, prompt=prompt)


def tokenize_items(
    items: Sequence[TextItem], parameters: TextParameters, codecs: ModelCodecs, *, prompt: str = ""
) -> list[Tokens]:
    """Return the tokens of each item, which the prompt stands before, and count those that are cut.

    Raises:
        InvalidItems: an item is longer than the model's context and `truncate` is false.
    """
    side = parameters.truncation_side
    if side is not None and not parameters.truncate:
        raise InvalidItems(Problem("nothing is cut without truncate", parameter="truncation_side"))
    return codecs.texts.tokenize(
        items,
        truncate=parameters.truncate,
        truncation_side=side,
        note_truncated=codecs.note_truncated,
        prompt=prompt,
    )


def tokenize_prompted_inputs(body: Any, codecs: ModelCodecs, limits: Limits) -> list[Tokens]:
    """Return the tokens of each of the body's texts, after the prompt that the parameters choose.

    Raises:
        InvalidItems: as in `tokenize_inputs`, or the model has no prompt of that name.
    """
    prompt = codecs.texts.prompts.choose(body.parameters.prompt_name)
    return tokenize_inputs(body, codecs, limits, prompt=prompt)


def read_text_objects(
    values: Any, fields: Mapping[str, type], limits: Limits, codec: TextCodec
) -> list[dict[str, Any]]:
    """Return items that are objects.

    Args:
        values: the items, or a single one.
        fields: the fields that each item must have, and no others: `str` for a text, `list` for a list of texts.
        limits: the limits on the number of items and texts together, and on the length of a text.
        codec: the codec of the model that the texts are for.

    Raises:
        InvalidItems: an item has other fields or an empty list, or there are too many items and texts.
    """
    items = as_list(values)
    n_texts = sum(
        len(value) for item in items if isinstance(item, dict) for value in item.values() if type(value) is list
    )
    check_count(len(items) + n_texts, limits.max_items)
    return [_read_text_object(item, index, fields, limits, codec) for index, item in enumerate(items)]


def _read_text_object(
    item: Any, index: int, fields: Mapping[str, type], limits: Limits, codec: TextCodec
) -> dict[str, Any]:
    names = ", ".join(f'"{name}"' for name in fields)
    if not isinstance(item, dict) or set(item) != set(fields):
        raise InvalidItems(Problem(f"the item must be an object of {names}", index))
    read: dict[str, Any] = {}
    try:
        for name, kind in fields.items():
            value = item[name]
            if kind is str:
                read[name] = codec.check_text(value, limits, name)
                continue
            if not isinstance(value, list) or not value:
                raise ValueError(f"{name} must be a list of at least one text")
            read[name] = [codec.check_text(text, limits, f"{name}/{place}") for place, text in enumerate(value)]
    except ValueError as error:
        raise InvalidItems(Problem(str(error), index)) from None
    return read


def each_item(items: Sequence[ItemT], convert: Callable[[ItemT], ResultT]) -> list[ResultT]:
    """Return the converted items.

    Raises:
        InvalidItems: items are refused; each problem has the index of its item.
    """
    results: list[ResultT] = []
    problems: list[Problem] = []
    for index, item in enumerate(items):
        try:
            results.append(convert(item))
        except InvalidItems as error:
            problems += [replace(problem, index=index) for problem in error.problems]
        if len(problems) > MAX_PROBLEMS:
            break
    if problems:
        raise InvalidItems(*limit_problems(problems))
    return results


def count_tokens(requests: Sequence[Any], results: Sequence[Any]) -> dict[str, int]:
    """Return how many tokens were read, for tasks whose requests cost their number of tokens."""
    return {"tokens": sum(request.cost for request in requests)}


def render_item(item: Any, parameters: ItemOutputParameters, codecs: ModelCodecs, index: int | None = None) -> Any:
    """Return an item as clients see it: an object of its values if it has columns, a string or an array.

    An image is the `data:` URL of a PNG if the client asks for it. A series that is made from the input with this
    `index` has a value for each of its rows, even if it has fewer or more steps.
    """
    if isinstance(codecs.items, TableSeriesCodec) and index is not None:
        item = item[codecs.series[index].rows_to_steps]
    if isinstance(codecs.items, TableCodec | TableSeriesCodec):
        return codecs.items.values_of(item.numpy())
    if isinstance(codecs.items, SentenceCodec):
        return codecs.items.encode(item.numpy())
    array = cast("ArrayCodec", codecs.items).encode(item.numpy())
    if parameters.format == "png" and isinstance(codecs.items, ImageCodec):
        return codecs.items.data_url(array)
    return array


def render_sentence(item: Any, codecs: ModelCodecs) -> str:
    """Return the text of the tokens of a sentence."""
    codec = cast("SentenceCodec", codecs.items)
    return codec.encode(item.numpy())


def stack_items(items: Sequence[Any], codecs: ModelCodecs) -> Floats:
    """Return items as one array `[n, …]`.

    Raises:
        InvalidRequest: the items differ in shape, or have columns.
    """
    if isinstance(codecs.items, TableCodec | TableSeriesCodec):
        raise InvalidRequest("the values of rows have names and types, and form no array; accept application/json")
    if isinstance(codecs.items, SentenceCodec):
        raise InvalidRequest("sentences form no array; accept application/json")
    codec = cast("ArrayCodec", codecs.items)
    return stack_arrays([codec.encode(item.numpy()) for item in items])


def stack_arrays(arrays: Sequence[Floats]) -> Floats:
    """Stack arrays into one `[n, …]`; a single array is not copied.

    Raises:
        InvalidRequest: the arrays differ in shape.
    """
    if len({array.shape for array in arrays}) > 1:
        raise InvalidRequest("the items of the answer differ in shape and form no array; accept application/json")
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
