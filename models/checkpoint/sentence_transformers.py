"""The settings of sentence encoders, in folders that the library sentence-transformers writes."""

import re
from dataclasses import dataclass
from pathlib import Path

from models.errors import CheckpointError
from models.json_files import read_json, read_json_list
from models.tasks.text import Pooling

MODULES_FILE, LIMITS_FILE = "modules.json", "sentence_bert_config.json"
MIN_TOKENS = 3
"""Minimum limit on the number of tokens: a token between the two special ones."""
POOLINGS: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}
"""Poolings by the name of the flag in older files."""
POOLINGS_BY_MODE: dict[str, Pooling] = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last"}
"""Poolings by the value of `pooling_mode` in newer files."""

_FOLDER = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, kw_only=True)
class SentenceSettings:
    """The settings of a sentence encoder; the defaults are those of other models.

    Attributes:
        pooling: the way in which the vectors of tokens become one; None leaves it to the model.
        normalize: whether this vector is scaled to unit length.
        max_tokens: the maximum number of tokens of a text; None leaves it to the model.
        lowercase: whether texts are converted to lower case.
    """

    pooling: Pooling | None = None
    normalize: bool = False
    max_tokens: int | None = None
    lowercase: bool = False


def read_sentence_settings(folder: Path, name: str) -> SentenceSettings:
    """Return the settings of a checkpoint; `name` is the checkpoint's name, for errors.

    Raises:
        CheckpointError: a file is damaged, or has a module, a pooling or a limit that is not supported.
    """
    if not (folder / MODULES_FILE).exists():
        return SentenceSettings()
    modules = read_json_list(folder, name, MODULES_FILE)
    paths = {str(module["type"]).rpartition(".")[2]: str(module["path"]) for module in modules}
    if unknown := sorted(set(paths) - {"Transformer", "Pooling", "Normalize"}):
        raise CheckpointError(f"{name}/{MODULES_FILE}: the module {unknown[0]} is not supported")
    limits = read_json(folder, name, LIMITS_FILE) if (folder / LIMITS_FILE).exists() else {}
    max_tokens = limits.get("max_seq_length")
    if max_tokens is not None and (type(max_tokens) is not int or max_tokens < MIN_TOKENS):
        limit = f"it must be an integer of at least {MIN_TOKENS}"
        raise CheckpointError(f"{name}/{LIMITS_FILE}: max_seq_length is {max_tokens!r}; {limit}")
    return SentenceSettings(
        pooling=_read_pooling(folder, name, paths["Pooling"]) if "Pooling" in paths else None,
        normalize="Normalize" in paths,
        max_tokens=max_tokens,
        lowercase=bool(limits.get("do_lower_case")),
    )


def _read_pooling(folder: Path, name: str, path: str) -> Pooling:
    """Return the pooling that the module in this subfolder declares.

    Raises:
        CheckpointError: the path leads elsewhere, the file is damaged, or the pooling is not supported.
    """
    if not _FOLDER.fullmatch(path):
        raise CheckpointError(f"{name}/{MODULES_FILE}: the path {path!r} is not a folder beside it")
    file = f"{path}/config.json"
    config = read_json(folder, name, file)
    mode = config.get("pooling_mode")
    if isinstance(mode, str) and mode in POOLINGS_BY_MODE:
        return POOLINGS_BY_MODE[mode]
    flags = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    if len(flags) != 1 or flags[0] not in POOLINGS:
        raise CheckpointError(f"{name}/{file}: the pooling is {flags!r}; it must be one of {', '.join(POOLINGS)}")
    return POOLINGS[flags[0]]
