"""`manifold.json`, a file that checkpoints of Manifold in the format of Hugging Face have beside the weights.

It has the licence, the measured metrics, the digests of files, the cost of the training, and the same declarations as
the `config.json` of checkpoints in the project's own format: for which tasks the checkpoint is the default, and what it
is known to do badly.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.checkpoint.common import CALIBRATION_FILE, WEIGHTS_FILE
from models.errors import CheckpointError
from models.json_files import shorten

CARD_FILE = "manifold.json"

_SHA256 = re.compile(r"[0-9a-f]{64}")


def write_card(
    folder: Path,
    *,
    licence: str,
    metrics: Mapping[str, float],
    training: Mapping[str, float] | None = None,
    default_for: Sequence[str] = (),
    known_failings: str | None = None,
) -> None:
    """Write a checkpoint's card with the digests of its weights and, if it has one, of its calibration.

    Args:
        folder: the checkpoint's folder, which has the weights.
        licence: the licence.
        metrics: the measured metrics by name.
        training: the cost of the training, such as the hours that it took.
        default_for: the names of the tasks that the checkpoint should serve where a request names no model.
        known_failings: what the checkpoint is known to do badly, in one line.
    """
    files = [folder / name for name in (WEIGHTS_FILE, CALIBRATION_FILE)]
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.exists()}
    content: dict[str, Any] = {"licence": licence, "metrics": dict(metrics), "sha256": digests}
    if training is not None:
        content["training"] = dict(training)
    content |= {"default_for": list(default_for), "known_failings": known_failings}
    (folder / CARD_FILE).write_text(json.dumps(content, indent=2) + "\n")


def read_declarations(name: str, file: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields `licence`, `metrics`, `default_for` and `known_failings` of a `Checkpoint`.

    Args:
        name: the checkpoint's name, for errors.
        file: the file of the checkpoint that has the fields, for errors.
        content: the content of that file, in which all may be missing.

    Raises:
        CheckpointError: a field has the wrong type.
    """
    tasks, metrics = content.get("default_for", []), content.get("metrics", {})
    if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
        raise CheckpointError(f"{name}/{file}: default_for is {shorten(tasks)}; it must be a list of names of tasks")
    if not isinstance(metrics, dict) or not all(type(value) in (int, float) for value in metrics.values()):
        raise CheckpointError(f"{name}/{file}: metrics is {shorten(metrics)}; it must be an object of numbers")
    for key in ("licence", "known_failings"):
        if not isinstance(content.get(key), str | None):
            raise CheckpointError(f"{name}/{file}: {key} is {shorten(content[key])}; it must be a text")
    return {
        "licence": content.get("licence"),
        "metrics": metrics,
        "default_for": tuple(tasks),
        "known_failings": content.get("known_failings"),
    }


def read_digests(name: str, content: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 digests of files in the content of a card, by the names of the files; none without a card.

    Raises:
        CheckpointError: they are not digests by names; `name` is the checkpoint's name, for the error.
    """
    digests = content.get("sha256", {})
    if not isinstance(digests, dict):
        raise CheckpointError(
            f"{name}/{CARD_FILE}: sha256 is {shorten(digests)}; it must name files with their digests"
        )
    return {file: check_sha256(f"{name}/{CARD_FILE}", f"sha256 of {file}", digest) for file, digest in digests.items()}


def check_sha256(place: str, key: str, value: object) -> str:
    """Return a value that must be a SHA-256 digest.

    Args:
        place: the file, for errors.
        key: the key of the value, for errors.
        value: the value.

    Raises:
        CheckpointError: it is something else.
    """
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise CheckpointError(
            f"{place}: {key} is {shorten(value)}; it must be a SHA-256 digest of 64 hexadecimal digits"
        )
    return value
