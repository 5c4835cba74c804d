"""The items of a request about texts, as they arrive in JSON."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from models.codecs.arrays import MAX_PROBLEMS, Limits, check_count, limit_problems
from models.errors import InvalidItems, Problem

_SURROGATES = re.compile("[\ud800-\udfff]")
_KINDS: dict[type, str] = {list: "a list", dict: "an object"}
_KEYS = ({"text"}, {"text", "text_pair"})
CheckText = Callable[[object, Limits, str], str]
"""Returns a text of a request, which has a name in errors, or raises ValueError."""


class TextItem(NamedTuple):
    """An item: a text, a text and its pair, or the ids of tokens."""

    text: str
    pair: str | None = None
    ids: tuple[int, ...] | None = None


def parse_text_items(values: object, limits: Limits, vocab_size: int, check_text: CheckText) -> list[TextItem]:
    """Return the items of a request, which has one item or a list of them.

    An item is a string, `{"text": …, "text_pair": …}` or a list of token ids below `vocab_size`. Each text is checked
    by `check_text`.

    Raises:
        InvalidItems: an item is of another type, a text is too long, an id is unknown, or there are too many items.
    """
    items = values if isinstance(values, list) and not _is_ids(values) else [values]
    check_count(len(items), limits.max_items)
    parsed: list[TextItem] = []
    problems: list[Problem] = []
    for index, item in enumerate(items):
        try:
            parsed.append(_parse_item(item, limits, vocab_size, check_text))
        except ValueError as error:
            problems.append(Problem(str(error), index))
        if len(problems) > MAX_PROBLEMS:
            break
    if problems:
        raise InvalidItems(*limit_problems(problems))
    return parsed


def clean_text(text: object, limits: Limits, name: str = "the text") -> str:
    """Return the text with U+FFFD in place of each lone surrogate, which UTF-8 cannot encode.

    Args:
        text: a value of JSON.
        limits: the limit on the length of a text.
        name: what the value is, for errors.

    Raises:
        ValueError: the value is not a string, or is longer than `limits.max_characters`.
    """
    if not isinstance(text, str):
        shown = _KINDS.get(type(text)) or json.dumps(text, default=str)[:40]  # a list may hold millions of values
        raise ValueError(f"{name} is {shown}; it must be a string")
    if len(text) > limits.max_characters:
        limit = f"the limit is {limits.max_characters}, max_characters"
        raise ValueError(f"{name} has {len(text)} characters; {limit}")
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def _parse_item(item: object, limits: Limits, vocab_size: int, check_text: CheckText) -> TextItem:
    """Return one item.

    Raises:
        ValueError: the item is refused; the message says why.
    """
    if isinstance(item, str):
        return TextItem(check_text(item, limits, "the text"))
    if _is_ids(item):
        return TextItem("", ids=_check_ids(item, limits, vocab_size))  # type: ignore[arg-type]
    if not isinstance(item, dict) or set(item) not in _KEYS:
        raise ValueError('the item is no text: it must be a string, {"text", "text_pair"} or a list of token ids')
    pair = check_text(item["text_pair"], limits, "text_pair") if "text_pair" in item else None
    return TextItem(check_text(item["text"], limits, "text"), pair)


def _check_ids(ids: Sequence[int], limits: Limits, vocab_size: int) -> tuple[int, ...]:
    if len(ids) > limits.max_characters:
        raise ValueError(f"the item has {len(ids)} token ids; the limit is {limits.max_characters}")
    if unknown := [token_id for token_id in ids if not 0 <= token_id < vocab_size]:
        raise ValueError(f"the token id {unknown[0]} is unknown; this model's are 0 to {vocab_size - 1}")
    return tuple(ids)


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(element) is int for element in value)
