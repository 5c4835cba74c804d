"""The weights of a folder in the format of Hugging Face: `model.safetensors`, or its shards."""

import mmap
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.checkpoint.card import CARD_FILE
from models.checkpoint.common import WEIGHTS_FILE, check_digest
from models.errors import CheckpointError
from models.json_files import read_json

INDEX_FILE = "model.safetensors.index.json"
"""The file that maps each parameter to its shard."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")
"""Suffixes of files with weights that are never read, because reading them may run any code."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""Beginning of the files that a clone without Git LFS has in place of large ones."""

_CONVERTIBLE = re.compile(r"pytorch_model.*\.bin")  # the pickles that `manifold convert` converts
_SHARD = re.compile(r"[\w.-]+\.safetensors")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@contextmanager
def open_tensors(folder: Path, name: str, digests: Mapping[str, str]) -> Iterator[dict[str, Tensor]]:
    """Open the weights of a checkpoint: all parameters by name, which are read from the files when they are used.

    Args:
        folder: the checkpoint's folder.
        name: the checkpoint's name, for errors.
        digests: the known SHA-256 digests of files by name.

    Raises:
        CheckpointError: a file is missing or damaged, or has another digest.
    """
    with ExitStack() as files:
        tensors: dict[str, Tensor] = {}
        for file_name in _weight_files(folder, name):
            place = f"{name}/{file_name}"
            try:
                _check_file_digest(folder / file_name, place, digests.get(file_name))
                file = files.enter_context(safe_open(folder / file_name, "pt"))
                tensors |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 it is no mapping
            except FileNotFoundError:
                raise CheckpointError(f"{place} is missing") from None
            except OSError as error:
                raise CheckpointError(f"{place} is not readable: {error.strerror or error}") from None
            except (SafetensorError, ValueError) as error:
                raise CheckpointError(f"{place} is {_describe_damage(folder / file_name)}: {error}") from None
        yield tensors


def read_parameter_names(folder: Path, name: str) -> list[str]:
    """Return the names of all parameters; none if a file is missing or damaged, which is reported when it is loaded."""
    names: list[str] = []
    try:
        for file_name in _weight_files(folder, name):
            with safe_open(folder / file_name, "pt") as file:
                names += file.keys()
    except (CheckpointError, SafetensorError, OSError):
        return []
    return names


def _weight_files(folder: Path, name: str) -> list[str]:
    """Return the names of the files with the weights.

    Raises:
        CheckpointError: there are none, or the index of the shards is damaged.
    """
    if (folder / WEIGHTS_FILE).exists():
        return [WEIGHTS_FILE]
    if (folder / INDEX_FILE).exists():
        weight_map = read_json(folder, name, INDEX_FILE).get("weight_map")
        shards = list(weight_map.values()) if isinstance(weight_map, dict) else []
        if shards and all(isinstance(shard, str) and _SHARD.fullmatch(shard) for shard in shards):
            return sorted(set(shards))
        raise CheckpointError(f"{name}/{INDEX_FILE}: weight_map must name safetensors files of the folder")
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        remedy = "`manifold convert FOLDER` writes safetensors beside it"
        if not any(_CONVERTIBLE.fullmatch(pickle) for pickle in pickles):
            remedy = "load it where it is trusted and save it with `model.save_pretrained(folder)`"
        raise CheckpointError(
            f"{name} has {', '.join(pickles)} and no {WEIGHTS_FILE}: a pickle can run any code and is never "
            f"read; {remedy}"
        )
    raise CheckpointError(f"{name}/{WEIGHTS_FILE} is missing")


def _describe_damage(path: Path) -> str:
    """Return what a file is that is no safetensors file."""
    with path.open("rb") as file:
        is_pointer = file.read(len(LFS_POINTER)) == LFS_POINTER
    return "a pointer of Git LFS; `git lfs pull` fetches the weights" if is_pointer else "not a whole safetensors file"


def _check_file_digest(path: Path, place: str, sha256: str | None) -> None:
    """Check a file's digest, which is given, or is the name of the file in the hub's cache that the path links to.

    Raises:
        CheckpointError: the file has another digest.
    """
    source = CARD_FILE
    if sha256 is None and path.is_symlink() and _SHA256.fullmatch(path.resolve().name):
        sha256, source = path.resolve().name, "the hub"
    if sha256 is not None and path.exists():
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_digest(place, data, sha256, source)  # type: ignore[arg-type] # it has a buffer as bytes have
