"""`expected.json`, a file with a few inputs of a text model and the numbers that it computes from them.

    {"tolerance": 0.001, "cases": [{"task": "encode", "input": "A dog runs.", "numbers": [0.1, …]}, …]}

An input is an item of the task's route. The numbers are those that the network computes, in float32: the embedding of
`encode`, the scores of `classify` in the order of the labels, the log-probabilities of the tokens of `score_text`, the
scores of each token's labels of `classify_tokens`, the logits of `answer`, and the token ids that `generate` and
`translate` choose as the likeliest.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import CheckpointError
from models.json_files import read_json

EXPECTED_FILE = "expected.json"
TOLERANCE = 1e-3
"""Largest difference from an expected number that rounding explains, if the file states no other."""
MAX_CASES = 64
"""Maximum number of cases of a file, because each is computed while the model loads."""
DECIMALS = 6
"""Number of decimals of the numbers that are written."""


@dataclass(frozen=True, kw_only=True)
class ExpectedAnswer:
    """An input of a task, as its route takes it, and the numbers that the model computes from it."""

    task: str
    input: Any
    numbers: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ExpectedAnswers:
    """The content of the file: the cases, and the largest difference that is allowed."""

    cases: tuple[ExpectedAnswer, ...]
    tolerance: float


def read_expected_answers(folder: Path, name: str) -> ExpectedAnswers | None:
    """Return the expected answers of a checkpoint's folder; None if the folder has no such file.

    Raises:
        CheckpointError: the file is damaged; the error names the key.
    """
    if not (folder / EXPECTED_FILE).exists():
        return None
    place = f"{name}/{EXPECTED_FILE}"
    content = read_json(folder, name, EXPECTED_FILE)
    if unknown := sorted(set(content) - {"tolerance", "cases"}):
        raise CheckpointError(f"{place}: {unknown[0]} is unknown; known are tolerance and cases")
    tolerance, cases = content.get("tolerance", TOLERANCE), content.get("cases")
    if type(tolerance) not in (int, float) or not 0 < tolerance < 1:
        raise CheckpointError(f"{place}: tolerance is {tolerance!r}; it must be a number between 0 and 1")
    if not isinstance(cases, list) or not 1 <= len(cases) <= MAX_CASES:
        raise CheckpointError(f"{place}: cases must be a list of 1 to {MAX_CASES} objects")
    parsed = tuple(_parse_case(case, f"{place}: cases[{index}]") for index, case in enumerate(cases))
    return ExpectedAnswers(cases=parsed, tolerance=float(tolerance))


def write_expected_answers(folder: Path, cases: Sequence[ExpectedAnswer]) -> None:
    """Write the file, with rounded numbers."""
    rounded = [asdict(case) | {"numbers": [round(number, DECIMALS) for number in case.numbers]} for case in cases]
    (folder / EXPECTED_FILE).write_text(json.dumps({"tolerance": TOLERANCE, "cases": rounded}) + "\n")


def _parse_case(case: object, place: str) -> ExpectedAnswer:
    if not isinstance(case, dict) or set(case) != {"task", "input", "numbers"}:
        raise CheckpointError(f"{place} must be an object of task, input and numbers")
    numbers = case["numbers"]
    if not isinstance(numbers, list) or not numbers or any(type(number) not in (int, float) for number in numbers):
        raise CheckpointError(f"{place}.numbers must be a list of numbers")
    finite: NDArray[np.float64] = np.array(numbers, np.float64)
    if not np.isfinite(finite).all():
        raise CheckpointError(f"{place}.numbers must be finite")
    return ExpectedAnswer(task=str(case["task"]), input=case["input"], numbers=tuple(finite.tolist()))
