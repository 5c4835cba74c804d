"""Reading and writing of checkpoints. A parameter that is missing, unknown or of another shape is an error.

common                 the base of the formats
native                 the project's own format, of the autoencoders
hugging_face           the format of Hugging Face, of the Transformers
diffusers              the format of the library diffusers, of autoencoders of pictures
audio                  folders of the format of Hugging Face whose models take sounds
sentence_transformers  the settings of sentence encoders, in folders of that format
sentence_modules       their pooling, and the layers after it
safetensors_files      the weights of all formats
card                   `manifold.json`: the licence, metrics and digests of such a folder, and its default tasks
"""

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

from models.checkpoint.audio import is_of_sounds, read_audio
from models.checkpoint.common import CALIBRATION_FILE, CONFIG_FILE, WEIGHTS_FILE, Checkpoint, load_model
from models.checkpoint.diffusers import TYPE_KEY, read_diffusers
from models.checkpoint.hugging_face import read_published
from models.checkpoint.native import FORMAT, read_native, write_checkpoint, write_metrics
from models.checkpoint.sentence_modules import MODULES_FILE, transformer_path
from models.errors import CatalogueError, CheckpointError, ConfigError
from models.json_files import read_json

__all__ = [
    "CALIBRATION_FILE",
    "CONFIG_FILE",
    "FORMAT",
    "WEIGHTS_FILE",
    "Checkpoint",
    "find_checkpoints",
    "find_own_checkpoints",
    "is_checkpoint",
    "load_model",
    "public_name",
    "read_checkpoint",
    "write_checkpoint",
    "write_metrics",
]


DESCRIPTIONS = (CONFIG_FILE, MODULES_FILE)
"""Files of which a checkpoint's folder has at least one."""


MAX_NAME_CHARACTERS = 201
"""Maximum number of characters of a checkpoint's name: two parts of 100, and the slash between them."""
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Errors that values of the wrong type, size or depth raise in the code that reads them."""


def public_name(folder: Path) -> str:
    """Return the name of the checkpoint in a folder: the folder's, with escapes for characters that are not printable.

    `check_name` refuses a name with escapes. So such a checkpoint has a name that can be shown, but cannot be loaded.
    """
    text = os.fsencode(folder.name).decode(errors="backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def check_name(name: str) -> None:
    """Check the name of a checkpoint, which is part of addresses, answers and lines of the log.

    Raises:
        CheckpointError: the name is too long, or has a backslash or a character that is not printable.
    """
    if len(name) > MAX_NAME_CHARACTERS or "\\" in name or not name.isprintable():
        limit = f"at most {MAX_NAME_CHARACTERS} printable characters without a backslash"
        raise CheckpointError(f"{name}: the name has {len(name)} characters; it must have {limit}")


def is_checkpoint(folder: Path) -> bool:
    """Return whether a folder holds a checkpoint, as far as the names of its files show it."""
    return any((folder / file).exists() for file in DESCRIPTIONS)


def find_checkpoints(root: Path) -> list[Path]:
    """Return the checkpoint folders `<kind>/<family>/<name>` below `root`, sorted by name.

    Raises:
        CheckpointError: two folders have the same name.
    """
    found = {path.parent for file in DESCRIPTIONS for path in root.glob(f"*/*/*/{file}")}
    folders = sorted(found, key=lambda folder: (folder.name, folder))
    for first, second in pairwise(folders):
        if first.name == second.name:
            families = f"{public_name(first.parent)} and {public_name(second.parent)}"
            raise CheckpointError(f"two checkpoints are named {public_name(first)}: in {families}")
    return folders


def find_own_checkpoints(root: Path) -> list[Path]:
    """Return the checkpoint folders `<name>` directly below `root`, sorted by name; none if there is no such folder.

    Folders whose names begin with a dot are unfinished.
    """
    found = {path.parent for file in DESCRIPTIONS for path in root.glob(f"*/{file}")}
    return sorted(folder for folder in found if not folder.name.startswith("."))


def read_checkpoint(folder: Path, name: str | None = None) -> Checkpoint:
    """Read and check a checkpoint of any of the formats, except its weights.

    Args:
        folder: the folder of the checkpoint.
        name: the public name of the checkpoint; the folder's if None.

    Raises:
        CheckpointError: a file is missing or damaged, or the family refuses its content; the name cannot be a
            checkpoint's; or the checkpoint declares itself the default of a task that it does not serve.
    """
    name = name or public_name(folder)
    check_name(name)
    place = f"{name}/{CONFIG_FILE}"
    try:
        path = transformer_path(folder, name)
        place = f"{name}/{path}{CONFIG_FILE}"
        content = read_json(folder, name, f"{path}{CONFIG_FILE}")
        checkpoint = _read_content(folder, name, content, path)
    except KeyError as error:
        raise CheckpointError(f"{place} lacks the key {error}") from None
    except (CatalogueError, ConfigError) as error:
        raise CheckpointError(f"{place}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{place} is not readable: {error.strerror or error}") from error
    except UNREADABLE as error:
        raise CheckpointError(f"{place} is not readable as a checkpoint's: {error}") from error
    if unknown := sorted(set(checkpoint.default_for) - set(checkpoint.task_names)):
        served = ", ".join(checkpoint.task_names)
        raise CheckpointError(f"{name}: default_for names {unknown[0]!r}; the checkpoint serves {served}")
    return checkpoint


def _read_content(folder: Path, name: str, content: dict[str, Any], path: str) -> Checkpoint:
    """Return the checkpoint whose `config.json`, in the folder `path` below its own, has this content."""
    if "family" in content:
        return read_native(folder, name, content)
    if TYPE_KEY in content:
        return read_diffusers(folder, name, content)
    if is_of_sounds(content):
        return read_audio(folder, name, content)
    return read_published(folder, name, content, path)
