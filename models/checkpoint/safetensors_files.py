"""The weights of a folder in a format of Hugging Face: one safetensors file, such as `model.safetensors`, or shards."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from models.checkpoint.card import CARD_FILE
from models.checkpoint.common import WEIGHTS_FILE, check_digest
from models.errors import CheckpointError
from models.json_files import parse_json, read_json
from models.regular_files import FileCopy, copied, read_beginning

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")
"""Suffixes of files with weights that are never read, because reading them may run any code."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""Beginning of the files that a clone without Git LFS has in place of large ones."""
LENGTH_BYTES = 8
"""Size of the number at the beginning of a safetensors file: the length of the header, which is JSON."""
MAX_HEADER_BYTES = 10**8
"""Maximum length of the header, that of the library safetensors."""
METADATA_KEY = "__metadata__"
"""Key of the header that names no parameter."""

_CONVERTIBLE = re.compile(r"(diffusion_)?pytorch_model.*\.bin")  # the pickles that `manifold convert` converts
_SHARD = re.compile(r"[\w.-]+\.safetensors")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@contextmanager
def open_tensors(
    folder: Path, name: str, digests: Mapping[str, str], weights_files: Sequence[str] = (WEIGHTS_FILE,)
) -> Iterator[dict[str, Tensor]]:
    """Read the weights of a checkpoint into memory that nobody can change: all parameters by name.

    The memory is released at the end of the context, once the tensors are gone.

    Args:
        folder: the checkpoint's folder.
        name: the checkpoint's name, for errors.
        digests: the known SHA-256 digests of files by name.
        weights_files: the names that the file may have, of which the first that is there is read.

    Raises:
        CheckpointError: a file is missing or damaged, or has another digest.
    """
    with ExitStack() as files:
        tensors: dict[str, Tensor] = {}
        for file_name in find_weights(folder, name, weights_files):
            place, path = f"{name}/{file_name}", folder / file_name
            copy = files.enter_context(copied(path, place))
            sha256, source = _known_digest(path, digests.get(file_name))
            if sha256 is not None:
                check_digest(place, copy.data, sha256, source)
            tensors |= parse_tensors(copy, place)
        yield tensors


def parse_tensors(copy: FileCopy, place: str) -> dict[str, Tensor]:
    """Return the tensors of a copy of a safetensors file, by name. On Linux, they refer to the memory of the copy.

    Args:
        copy: the copy.
        place: the name of the file, for errors.

    Raises:
        CheckpointError: the content is not that of a safetensors file, or has a type that is unknown here.
    """
    try:
        if not copy.is_sealed:
            return load(bytes(copy.data))
        with safe_open(copy.path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 it is no mapping
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{place} is {_describe_damage(copy)}: {error}") from None


def read_parameter_names(folder: Path, name: str) -> list[str]:
    """Return the names of all parameters; none if a file is missing or damaged, which is reported when it is loaded.

    Only the beginnings of the files are read, which hold the names (the format of safetensors).
    """
    names: list[str] = []
    try:
        for file_name in find_weights(folder, name):
            path, place = folder / file_name, f"{name}/{file_name}"
            n_bytes = int.from_bytes(read_beginning(path, place, LENGTH_BYTES), "little")
            if n_bytes > MAX_HEADER_BYTES:
                return []
            header = parse_json(read_beginning(path, place, LENGTH_BYTES + n_bytes)[LENGTH_BYTES:], place)
            names += [key for key in header if key != METADATA_KEY] if isinstance(header, dict) else []
    except CheckpointError:
        return []
    return names


def find_weights(folder: Path, name: str, weights_files: Sequence[str] = (WEIGHTS_FILE,)) -> list[str]:
    """Return the names of the files with the weights: the first of some that is there, or its shards.

    Raises:
        CheckpointError: there are none, or the index of the shards is damaged.
    """
    for file_name in weights_files:
        index_file = f"{file_name}.index.json"
        if (folder / file_name).exists():
            return [file_name]
        if (folder / index_file).exists():
            weight_map = read_json(folder, name, index_file).get("weight_map")
            shards = list(weight_map.values()) if isinstance(weight_map, dict) else []
            if shards and all(isinstance(shard, str) and _SHARD.fullmatch(shard) for shard in shards):
                return sorted(set(shards))
            raise CheckpointError(f"{name}/{index_file}: weight_map must name safetensors files of the folder")
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        remedy = "`manifold convert FOLDER` writes safetensors beside it"
        if not any(_CONVERTIBLE.fullmatch(pickle) for pickle in pickles):
            remedy = "load it where it is trusted and save it with `model.save_pretrained(folder)`"
        raise CheckpointError(
            f"{name} has {', '.join(pickles)} and no {weights_files[0]}: a pickle can run any code and is never "
            f"read; {remedy}"
        )
    raise CheckpointError(f"{name}/{weights_files[0]} is missing")


def _describe_damage(copy: FileCopy) -> str:
    """Return what a file is that is no safetensors file."""
    is_pointer = bytes(copy.data[: len(LFS_POINTER)]) == LFS_POINTER
    return "a pointer of Git LFS; `git lfs pull` fetches the weights" if is_pointer else "not a whole safetensors file"


def _known_digest(path: Path, sha256: str | None) -> tuple[str | None, str]:
    """Return the digest that a file must have, if one is known, and who states it.

    It is given, or is the name of the file in the hub's cache that the path links to.
    """
    if sha256 is None and path.is_symlink() and _SHA256.fullmatch(path.resolve().name):
        return path.resolve().name, "the hub"
    return sha256, CARD_FILE
