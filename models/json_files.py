"""The reader of the JSON files of a checkpoint, whose errors name the file.

A file is refused if it has what no other JSON reader, and no answer of the server, could hold: NaN or an infinity, a
number beyond the range of floating-point numbers, half of a surrogate pair, or values that are nested too deeply.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

from models.errors import CheckpointError
from models.regular_files import read_file

MAX_DEPTH = 64
"""Maximum number of lists and objects around a value."""
MAX_DIGITS = 308
"""Maximum number of digits of an integer, so that it can become a floating-point number."""
SHOWN_CHARACTERS = 100
"""Maximum number of characters of a value that an error shows."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def shorten(value: object) -> str:
    """Return a value of a JSON file as it may stand in an error: in Python's notation, and shortened."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def read_json(folder: Path, name: str, file: str) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Args:
        folder: the folder of a checkpoint.
        name: the checkpoint's name, for errors.
        file: the path of the file below the folder.

    Raises:
        CheckpointError: the file is missing, cannot be read, or holds no JSON object.
    """
    content = parse_json(read_file(folder / file, f"{name}/{file}"), f"{name}/{file}")
    if not isinstance(content, dict):
        raise CheckpointError(f"{name}/{file} holds no JSON object")
    return content


def read_json_list(folder: Path, name: str, file: str) -> list[Any]:
    """Read a file that holds a JSON list; see `read_json` for the arguments.

    Raises:
        CheckpointError: the file is missing, cannot be read, or holds no JSON list.
    """
    content = parse_json(read_file(folder / file, f"{name}/{file}"), f"{name}/{file}")
    if not isinstance(content, list):
        raise CheckpointError(f"{name}/{file} holds no JSON list")
    return content


def parse_json(data: bytes, place: str) -> Any:
    """Return the value of the JSON text of a file.

    Args:
        data: the text, in UTF-8.
        place: the name of the file, for errors.

    Raises:
        CheckpointError: the text is no JSON, or holds a value that is refused.
    """
    try:
        content = json.loads(
            data.decode(), parse_int=_parse_int, parse_float=_parse_float, parse_constant=_refuse_constant
        )
        _check_depth(content)
        if _ESCAPED_SURROGATE.search(data):
            _check_characters(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{place} is not readable as JSON: {error}") from None
    return content


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"the number {digits[:20]}… has more than {MAX_DIGITS} digits")
    return int(digits)


def _parse_float(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"the number {number[:20]} is beyond the range of floating-point numbers")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _check_depth(content: object) -> None:
    """Raise ValueError if values are nested too deeply."""
    level = [content] if isinstance(content, (dict, list)) else []
    for _ in range(MAX_DEPTH + 1):
        containers = [value.values() if isinstance(value, dict) else value for value in level]
        level = [value for values in containers for value in values if isinstance(value, (dict, list))]
        if not level:
            return
    raise ValueError(f"values are nested in more than {MAX_DEPTH} lists and objects")


def _check_characters(content: object) -> None:
    """Raise ValueError if a text has half of a surrogate pair. Pairs have become single characters before."""
    text = json.dumps(content, ensure_ascii=False)
    if found := _SURROGATE.search(text):
        raise ValueError(f"a text has the lone surrogate \\u{ord(found[0]):04x}, which is no character")
