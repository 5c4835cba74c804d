"""The reader of the JSON files of a checkpoint, whose errors name the file."""

import json
from pathlib import Path
from typing import Any

from models.errors import CheckpointError


def read_json(folder: Path, name: str, file: str) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Args:
        folder: the folder of a checkpoint.
        name: the checkpoint's name, for errors.
        file: the path of the file below the folder.

    Raises:
        CheckpointError: the file is missing, cannot be read, or holds no JSON object.
    """
    content = _parse(folder, name, file)
    if not isinstance(content, dict):
        raise CheckpointError(f"{name}/{file} holds no JSON object")
    return content


def read_json_list(folder: Path, name: str, file: str) -> list[Any]:
    """Read a file that holds a JSON list; see `read_json` for the arguments.

    Raises:
        CheckpointError: the file is missing, cannot be read, or holds no JSON list.
    """
    content = _parse(folder, name, file)
    if not isinstance(content, list):
        raise CheckpointError(f"{name}/{file} holds no JSON list")
    return content


def _parse(folder: Path, name: str, file: str) -> Any:
    try:
        return json.loads((folder / file).read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{name}/{file} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{name}/{file} is not readable as JSON: {error}") from None
