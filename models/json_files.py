"""Placeholder: to be described."""

import json
from pathlib import Path
from typing import Any

from models.errors import CheckpointError


def read_json(folder: Path, name: str, file: str) -> dict[str, Any]:
    """A JSON object of the folder.

    Raises:
        CheckpointError: it is missing, or none.
    """
    try:
        content = json.loads((folder / file).read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{name}/{file} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{name}/{file} is not readable as JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{name}/{file} holds no JSON object")
    return content
