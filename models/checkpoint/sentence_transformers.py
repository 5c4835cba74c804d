"""Sentence encoders: how their folders say what one vector of a text is made of (sentence-transformers)."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import CheckpointError
from models.tasks.text import Pooling

MODULES_FILE, LIMITS_FILE = "modules.json", "sentence_bert_config.json"


MIN_TOKENS = 3
"""A word between the two special tokens."""


_FOLDER = re.compile(r"\w[\w.-]*")


POOLINGS: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}


BY_NAME: dict[str, Pooling] = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last"}


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """What a sentence encoder brings: nothing, of any other model."""

    pooling: Pooling | None = None
    normalize: bool = False
    max_tokens: int | None = None
    lowercase: bool = False


def read_sentences(folder: Path, name: str) -> Sentences:
    """What the folder says.

    Raises:
        CheckpointError: a file is damaged, or asks for a module, a pooling or a length that is not supported.
    """
    if not (folder / MODULES_FILE).exists():
        return Sentences()
    kinds = {
        str(module["type"]).rpartition(".")[2]: str(module["path"]) for module in _json(folder, name, MODULES_FILE)
    }
    if strangers := sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"}):
        raise CheckpointError(f"{name}/{MODULES_FILE}: the module {strangers[0]} is not supported")
    limits = _json(folder, name, LIMITS_FILE) if (folder / LIMITS_FILE).exists() else {}
    longest = limits.get("max_seq_length")
    if longest is not None and (type(longest) is not int or longest < MIN_TOKENS):
        limit = f"it must be an integer of at least {MIN_TOKENS}"
        raise CheckpointError(f"{name}/{LIMITS_FILE}: max_seq_length is {longest!r}; {limit}")
    return Sentences(
        pooling=_pooling(folder, name, kinds["Pooling"]) if "Pooling" in kinds else None,
        normalize="Normalize" in kinds,
        max_tokens=longest,
        lowercase=bool(limits.get("do_lower_case")),
    )


def _pooling(folder: Path, name: str, path: str) -> Pooling:
    if not _FOLDER.fullmatch(path):
        raise CheckpointError(f"{name}/{MODULES_FILE}: the path {path!r} is not a folder beside it")
    file = f"{path}/config.json"
    config = _json(folder, name, file)
    if (mode := config.get("pooling_mode")) in BY_NAME:
        return BY_NAME[mode]
    modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise CheckpointError(f"{name}/{file}: the pooling is {modes!r}; it must be one of {', '.join(POOLINGS)}")
    return POOLINGS[modes[0]]


def _json(folder: Path, name: str, file: str) -> Any:
    try:
        return json.loads((folder / file).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{name}/{file} is not readable as JSON: {type(error).__name__}") from None
