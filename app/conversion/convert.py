"""Finds the pickled weights of a folder, and has a child process write them as safetensors beside them.

A folder in the format of Hugging Face has `pytorch_model.bin`, or shards with an index; those of sentence-transformers
have such files in subfolders as well. A folder of diffusers has `diffusion_pytorch_model.bin`.
"""

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from models.checkpoint import WEIGHTS_FILE
from models.checkpoint.diffusers import WEIGHTS_FILES as DIFFUSERS_FILES
from models.errors import CheckpointError
from models.json_files import read_json

PICKLES = {
    "pytorch_model.bin": (WEIGHTS_FILE,),
    "diffusion_pytorch_model.bin": DIFFUSERS_FILES,
    "diffusion_pytorch_model.fp16.bin": DIFFUSERS_FILES,
}
"""By the name of a pickle: the safetensors that are read in its place. Of a folder, the first pickle is converted."""
OTHER_LIBRARIES = {".h5": "TensorFlow", ".msgpack": "Flax"}
"""Libraries by the suffix of their files of weights, which are not converted."""
VARIABLES = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "OMP_NUM_THREADS")
"""Variables of the environment that the child process is given; tokens and passwords are not among them."""
POLL_S = 0.1
"""Time in seconds between two reports of the progress."""

_SHARD_PATTERN = re.compile(r"[\w.-]+\.bin")

INDEX_SUFFIX = ".index.json"
"""What the name of the index of the shards of a file ends with, after the name of the file."""
OnProgress = Callable[[int, int], None]
"""Called with the number of bytes written so far, and the number of bytes to read."""


@dataclass(frozen=True, kw_only=True)
class PickledWeights:
    """The weights of a folder or of one of its subfolders.

    Attributes:
        folder: the folder or subfolder.
        pickle: the name of the pickle, or of what its shards are together.
        files: the names of the pickles.
        index: the content of the index; None if there is a single file.
        place: the path of the subfolder with a slash, for messages; empty for the folder itself.
    """

    folder: Path
    pickle: str
    files: tuple[str, ...]
    index: dict[str, Any] | None
    place: str


@dataclass(frozen=True, kw_only=True)
class ConvertedFile:
    """A file that was written. Paths are relative to the folder; `dropped` names aliases of tensors that are kept."""

    source: str
    target: str
    n_tensors: int
    n_bytes: int
    dropped: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The files that were written, the paths of pickles that were converted before, and how the child was isolated."""

    files: tuple[ConvertedFile, ...]
    kept: tuple[str, ...]
    isolation: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One pickle to convert: it is written to `part` first, which then becomes `target`."""

    weights: PickledWeights
    source: Path
    part: Path
    target: Path

    @property
    def name(self) -> str:
        """The path of the pickle in messages."""
        return f"{self.weights.place}{self.source.name}"


def convert(folder: Path, *, force: bool, on_progress: OnProgress) -> Report:
    """Write safetensors beside the pickles of a folder: all of them, or none if one is refused.

    Args:
        folder: the folder.
        force: whether to replace safetensors that are there.
        on_progress: called several times a second.

    Raises:
        CheckpointError: there is no pickle to convert, one is refused, or the disk is full.
    """
    found = find_unsafe_weights(folder)
    if not found:
        raise CheckpointError(_explain_nothing(folder))
    todo = [weights for weights in found if force or not _has_any(weights.folder, PICKLES[weights.pickle])]
    kept = [f"{weights.place}{name}" for weights in found if weights not in todo for name in weights.files]
    steps = [step for weights in todo for step in _steps(weights)]
    if not steps:
        return Report(files=(), kept=tuple(kept), isolation=())
    try:
        answer = _convert_steps(steps, keeps_aliases=_keeps_aliases(folder), on_progress=on_progress)
        files = [_check(step, result) for step, result in zip(steps, answer["files"], strict=True)]
        for weights in todo:
            written = zip(steps, answer["files"], strict=True)
            _install(weights, [(step, result["names"]) for step, result in written if step.weights is weights])
    except OSError as error:
        raise CheckpointError(f"{folder.name} could not be written: {error.strerror or error}") from error
    finally:
        for step in steps:
            step.part.unlink(missing_ok=True)
    return Report(files=tuple(files), kept=tuple(kept), isolation=tuple(answer["isolation"]))


def find_unsafe_weights(folder: Path) -> list[PickledWeights]:
    """Return the pickled weights of a folder and of its subfolders.

    Raises:
        CheckpointError: an index is damaged, or names a file that is missing.
    """
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    places = [(folder, ""), *((path, f"{path.name}/") for path in subfolders)]
    return [weights for path, place in places for weights in _pickles_in(path, place)]


def _pickles_in(folder: Path, place: str) -> Iterator[PickledWeights]:
    """Yield the weights of the first pickle that a folder has, or of its shards."""
    for pickle in PICKLES:
        index_file = f"{pickle}{INDEX_SUFFIX}"
        if (folder / pickle).exists():
            yield PickledWeights(folder=folder, pickle=pickle, files=(pickle,), index=None, place=place)
            return
        if (folder / index_file).exists():
            index = read_json(folder, folder.name, index_file)
            weight_map = index.get("weight_map")
            names = sorted(set(weight_map.values())) if isinstance(weight_map, dict) and weight_map else []
            if not names or not all(isinstance(name, str) and _SHARD_PATTERN.fullmatch(name) for name in names):
                raise CheckpointError(f"{place}{index_file}: weight_map must name .bin files of the folder")
            if missing := [name for name in names if not (folder / name).exists()]:
                raise CheckpointError(f"{place}{missing[0]} is missing; {index_file} names it")
            yield PickledWeights(folder=folder, pickle=pickle, files=tuple(names), index=index, place=place)
            return


def _target_of(pickle: str) -> str:
    """Return the name of the safetensors of a pickle."""
    return f"{pickle.removeprefix('pytorch_').removesuffix('.bin')}.safetensors"


def _has_any(folder: Path, weights_files: Sequence[str]) -> bool:
    """Return whether a folder has one of some files of safetensors, as a whole or in shards."""
    return any((folder / each).exists() for name in weights_files for each in (name, f"{name}{INDEX_SUFFIX}"))


def _explain_nothing(folder: Path) -> str:
    """Say why there is nothing to convert."""
    pickle = next(iter(PICKLES))
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    libraries = {name: OTHER_LIBRARIES.get(Path(name).suffix) for name in names}
    if others := [f"{name} is of {library}" for name, library in libraries.items() if library]:
        return f"{folder.name} has no {pickle}: {', '.join(others)}, and only weights of PyTorch can be converted"
    if any(_has_any(folder, weights_files) for weights_files in PICKLES.values()):
        return f"{folder.name} has no {pickle}; its weights are safetensors already"
    return f"{folder.name} has no {pickle}, and no {pickle}{INDEX_SUFFIX}; nor has it those of diffusers"


def _steps(weights: PickledWeights) -> Iterator[_Step]:
    for name in weights.files:
        target = weights.folder / _target_of(name)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        yield _Step(weights=weights, source=weights.folder / name, part=part, target=target)


def _keeps_aliases(folder: Path) -> bool:
    """Return whether the names of one tensor stand for different ones, because the model ties no weights."""
    has_config = (folder / "config.json").exists()
    return has_config and read_json(folder, folder.name, "config.json").get("tie_word_embeddings") is False


def _convert_steps(steps: Sequence[_Step], *, keeps_aliases: bool, on_progress: OnProgress) -> dict[str, Any]:
    """Have all files converted, and return the answer of `unpickle`.

    Raises:
        CheckpointError: a file is refused, or the process ended early.
    """
    files = [
        {"name": step.name, "source": str(step.source.absolute()), "target": str(step.part.absolute())}
        for step in steps
    ]
    n_bytes = sum(step.source.stat().st_size for step in steps)

    def report() -> None:
        on_progress(sum(step.part.stat().st_size for step in steps if step.part.exists()), n_bytes)

    answer = run_child({"files": files, "keep_aliases": keeps_aliases}, report)
    if "refused" in answer:
        raise CheckpointError(answer["refused"])
    return answer


def run_child(work: dict[str, Any], report: Callable[[], None]) -> dict[str, Any]:
    """Run `unpickle` in a process of its own, calling `report` several times a second, and return its answer.

    Raises:
        CheckpointError: the process ended early.
    """
    given: str | None = json.dumps(work)
    environment = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-P", "-s", str(Path(__file__).with_name("unpickle.py"))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment) as child:  # noqa: S603 our own program
        try:
            while True:
                try:
                    out, err = child.communicate(given, timeout=POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    given = None
                    report()
        finally:
            child.kill()
    if child.returncode < 0:
        reason = f"was ended by signal {-child.returncode}; perhaps memory ran out"
        raise CheckpointError(f"the process that converts {reason}")
    if child.returncode > 0:
        reason = (err.strip().splitlines() or ["it gave no reason"])[-1]
        raise CheckpointError(f"the process that converts failed: {reason}")
    answer: dict[str, Any] = json.loads(out)
    return answer


def _check(step: _Step, result: dict[str, Any]) -> ConvertedFile:
    """Check that the written file can be read and has the tensors, and describe it.

    Raises:
        CheckpointError: names of the index are missing.
    """
    with safe_open(step.part, "pt") as file:
        written = set(file.keys())
    weight_map = step.weights.index["weight_map"] if step.weights.index else {}
    expected = {name for name, file_name in weight_map.items() if file_name == step.source.name}
    if missing := sorted((expected | set(result["names"])) - written - result["dropped"].keys()):
        raise CheckpointError(f"{step.name} lacks the tensor {missing[0]!r}")
    return ConvertedFile(
        source=step.name,
        target=f"{step.weights.place}{step.target.name}",
        n_tensors=len(written),
        n_bytes=step.part.stat().st_size,
        dropped=result["dropped"],
    )


def _install(weights: PickledWeights, written: Sequence[tuple[_Step, Sequence[str]]]) -> None:
    """Put the written files in their place, then their index, and remove what would be read instead of them."""
    target = _target_of(weights.pickle)
    index_file = f"{target}{INDEX_SUFFIX}"
    for step, _ in written:
        with step.part.open("rb") as file:
            os.fsync(file.fileno())
        step.part.replace(step.target)
    if weights.index is None:
        (weights.folder / index_file).unlink(missing_ok=True)
        return
    weight_map = {name: step.target.name for step, names in written for name in names}
    index = {"metadata": weights.index.get("metadata", {}), "weight_map": weight_map}
    part = weights.folder / f".{index_file}.{secrets.token_hex(4)}.part"
    part.write_text(json.dumps(index, indent=2) + "\n")
    part.replace(weights.folder / index_file)
    (weights.folder / target).unlink(missing_ok=True)
