"""Writes `expected.json` of a trained model, by which a server checks that it computes what was computed here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from models.checkpoint import read_checkpoint
from models.checkpoint.expected_answers import write_expected_answers
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.checkpoint.self_check import compute_answer
from models.family import Model

INPUTS: Mapping[str, Sequence[Any]] = {
    "encode": ("A dog runs through the grass.", "It's 3 o'clock in Zürich!"),
    "classify": ("a wonderful film", "The company reported a loss of $3.2 million."),
    "classify_tokens": ("Anna Schmidt lives in London.",),
    "answer": ({"question": "Where does Anna live?", "context": "Anna lives in London. She likes tea."},),
    "score_text": ("the dog ran home",),
    "translate": ("A man is riding a bike.",),
}
"""Inputs of each task; of the tasks that are left out, the others compute the same layers."""


@torch.inference_mode()
def write_expected(folder: Path, model: Model) -> None:
    """Write the answers of a model, in float32, beside its weights."""
    checkpoint = read_checkpoint(folder)
    if not isinstance(checkpoint, PublishedCheckpoint):
        raise TypeError(f"{folder.name} is no checkpoint of texts")
    served = {task.name for task in checkpoint.tasks}
    cases = [(task, value) for task, values in INPUTS.items() if task in served for value in values]
    write_expected_answers(folder, [compute_answer(checkpoint, model, *case) for case in cases])
