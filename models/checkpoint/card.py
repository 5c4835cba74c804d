"""`manifold.json`, a file that checkpoints of Manifold in the format of Hugging Face have beside the weights.

It has the licence, the measured metrics, the digests of files, and the cost of the training.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from models.checkpoint.common import WEIGHTS_FILE

CARD_FILE = "manifold.json"


def write_card(
    folder: Path, *, licence: str, metrics: Mapping[str, float], training: Mapping[str, float] | None = None
) -> None:
    """Write a checkpoint's card with the digest of its weights.

    Args:
        folder: the checkpoint's folder, which has the weights.
        licence: the licence.
        metrics: the measured metrics by name.
        training: the cost of the training, such as the hours that it took.
    """
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    content = {"licence": licence, "metrics": dict(metrics), "sha256": {WEIGHTS_FILE: digest}}
    if training is not None:
        content["training"] = dict(training)
    (folder / CARD_FILE).write_text(json.dumps(content, indent=2) + "\n")
