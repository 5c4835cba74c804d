"""`manifold.json`, a file that checkpoints of Manifold in the format of Hugging Face have beside the weights.

It has the licence, the measured metrics, the digests of files, the cost of the training, and the same declarations as
the `config.json` of checkpoints in the project's own format: for which tasks the checkpoint is the default, and what it
is known to do badly.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.checkpoint.common import WEIGHTS_FILE
from models.errors import CheckpointError

CARD_FILE = "manifold.json"


def write_card(
    folder: Path,
    *,
    licence: str,
    metrics: Mapping[str, float],
    training: Mapping[str, float] | None = None,
    default_for: Sequence[str] = (),
    known_failings: str | None = None,
) -> None:
    """Write a checkpoint's card with the digest of its weights.

    Args:
        folder: the checkpoint's folder, which has the weights.
        licence: the licence.
        metrics: the measured metrics by name.
        training: the cost of the training, such as the hours that it took.
        default_for: the names of the tasks that the checkpoint should serve where a request names no model.
        known_failings: what the checkpoint is known to do badly, in one line.
    """
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    content: dict[str, Any] = {"licence": licence, "metrics": dict(metrics), "sha256": {WEIGHTS_FILE: digest}}
    if training is not None:
        content["training"] = dict(training)
    content |= {"default_for": list(default_for), "known_failings": known_failings}
    (folder / CARD_FILE).write_text(json.dumps(content, indent=2) + "\n")


def read_declarations(name: str, file: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields `default_for` and `known_failings` of a `Checkpoint`.

    Args:
        name: the checkpoint's name, for errors.
        file: the file of the checkpoint that has the fields, for errors.
        content: the content of that file, in which both may be missing.

    Raises:
        CheckpointError: a field has the wrong type.
    """
    tasks, failings = content.get("default_for", []), content.get("known_failings")
    if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
        raise CheckpointError(f"{name}/{file}: default_for is {tasks!r}; it must be a list of names of tasks")
    if not isinstance(failings, str | None):
        raise CheckpointError(f"{name}/{file}: known_failings is {failings!r}; it must be a text")
    return {"default_for": tuple(tasks), "known_failings": failings}
