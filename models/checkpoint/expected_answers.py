"""`expected.json`, a file with a few inputs of a text model and the numbers that it computes from them.

    {"tolerance": 0.001, "files": {"config.json": "3f0c…", …},
     "cases": [{"task": "encode", "input": "A dog runs.", "numbers": [0.1, …]}, …]}

`files` are the SHA-256 digests of the files from which the numbers were computed; it may be left out. An input is an
item of the task's route. The numbers are those that the network computes, in float32: the embedding of `encode`, the
scores of `classify` in the order of the labels, the log-probabilities of the tokens of `score_text`, the scores of each
token's labels of `classify_tokens`, the logits of `answer`, and the token ids that `generate` and `translate` choose as
the likeliest.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.checkpoint.card import CARD_FILE
from models.errors import CheckpointError
from models.json_files import read_json
from models.regular_files import copied

EXPECTED_FILE = "expected.json"
TOLERANCE = 1e-3
"""Largest difference from an expected number that rounding explains, if the file states no other."""
MAX_CASES = 64
"""Maximum number of cases of a file, because each is computed while the model loads."""
DECIMALS = 6
"""Number of decimals of the numbers that are written."""
MAX_NUMBER = float(np.finfo(np.float32).max)
"""Largest absolute value of a number, because the network computes in float32."""
SUFFIXES = (".json", ".safetensors", ".txt", ".spm", ".model")
"""Suffixes of the files that a model is made of."""
OTHER_FILES = (EXPECTED_FILE, CARD_FILE)
"""Files with these suffixes that do not change its answers."""


@dataclass(frozen=True, kw_only=True)
class ExpectedAnswer:
    """An input of a task, as its route takes it, and the numbers that the model computes from it."""

    task: str
    input: Any
    numbers: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ExpectedAnswers:
    """The content of the file.

    Attributes:
        cases: the inputs with their numbers.
        tolerance: the largest difference that is allowed.
        files: the SHA-256 digests of the files from which the numbers were computed; empty if they are not known.
    """

    cases: tuple[ExpectedAnswer, ...]
    tolerance: float
    files: Mapping[str, str]

    def changed_files(self, folder: Path) -> tuple[str, ...]:
        """Return the names of the files that were added, removed or changed since the numbers were computed."""
        if not self.files:
            return ()
        found = _digests(folder)
        names = sorted(found.keys() | self.files.keys())
        return tuple(name for name in names if found.get(name) != self.files.get(name))


def read_expected_answers(folder: Path, name: str) -> ExpectedAnswers | None:
    """Return the expected answers of a checkpoint's folder; None if the folder has no such file.

    Raises:
        CheckpointError: the file is damaged; the error names the key.
    """
    if not (folder / EXPECTED_FILE).exists():
        return None
    place = f"{name}/{EXPECTED_FILE}"
    content = read_json(folder, name, EXPECTED_FILE)
    if unknown := sorted(set(content) - {"tolerance", "files", "cases"}):
        raise CheckpointError(f"{place}: {unknown[0]} is unknown; known are tolerance, files and cases")
    tolerance, files, cases = content.get("tolerance", TOLERANCE), content.get("files", {}), content.get("cases")
    if type(tolerance) not in (int, float) or not 0 < tolerance < 1:
        raise CheckpointError(f"{place}: tolerance is {tolerance!r}; it must be a number between 0 and 1")
    if not isinstance(files, dict) or not all(isinstance(digest, str) for digest in files.values()):
        raise CheckpointError(f"{place}: files must be an object of names and SHA-256 digests")
    if not isinstance(cases, list) or not 1 <= len(cases) <= MAX_CASES:
        raise CheckpointError(f"{place}: cases must be a list of 1 to {MAX_CASES} objects")
    parsed = tuple(_parse_case(case, f"{place}: cases[{index}]") for index, case in enumerate(cases))
    return ExpectedAnswers(cases=parsed, tolerance=float(tolerance), files=files)


def write_expected_answers(folder: Path, cases: Sequence[ExpectedAnswer]) -> None:
    """Write the file, with rounded numbers and the digests of the folder's other files."""
    rounded = [asdict(case) | {"numbers": [round(number, DECIMALS) for number in case.numbers]} for case in cases]
    content = {"tolerance": TOLERANCE, "files": _digests(folder), "cases": rounded}
    (folder / EXPECTED_FILE).write_text(json.dumps(content) + "\n")


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 digests of the files of a folder and its subfolders that a model is made of."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES and path.is_file()]
    digests: dict[str, str] = {}
    for path in paths:
        if path.name not in OTHER_FILES:
            name = path.relative_to(folder).as_posix()
            with copied(path, f"{folder.name}/{name}") as copy:
                digests[name] = hashlib.sha256(copy.data).hexdigest()
    return digests


def _parse_case(case: object, place: str) -> ExpectedAnswer:
    if not isinstance(case, dict) or set(case) != {"task", "input", "numbers"}:
        raise CheckpointError(f"{place} must be an object of task, input and numbers")
    numbers = case["numbers"]
    if not isinstance(numbers, list) or not numbers or any(type(number) not in (int, float) for number in numbers):
        raise CheckpointError(f"{place}.numbers must be a list of numbers")
    if not all(abs(number) <= MAX_NUMBER for number in numbers):
        raise CheckpointError(f"{place}.numbers must be finite, as numbers of float32")
    return ExpectedAnswer(task=str(case["task"]), input=case["input"], numbers=tuple(map(float, numbers)))
