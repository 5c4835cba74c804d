"""The base of all formats of checkpoints: their description, and the building of a model with their weights."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from models.codecs import Codec
from models.errors import CheckpointError
from models.family import FamilyConfig, FamilySpec, Model
from models.tasks import Task

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CALIBRATION_FILE = "calibration.safetensors"
MAX_WEIGHTS = 2**36
"""Maximum number of weights of a model."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint(ABC):
    """The description of a checkpoint, which is read without its weights.

    Attributes:
        name: the public name of the model.
        folder: the folder with the files.
        spec: the family.
        config: the hyperparameters.
        modality: the kind of the items: `image`, `series`, `table`, `table_series`, `vector`, `sentence` or `text`.
        item_shape: the shape of an item, as the model was trained; of sentences and texts, the maximum number of
            tokens.
        sha256: the SHA-256 of the file with the weights, if it is known.
        licence: the licence, if it is known.
        metrics: the measured metrics by name.
        default_for: the names of the tasks that it should serve where a request names no model.
        known_failings: what it is known to do badly, in one line.
        unused: the names of stored parameters that the model does not use; complete once the model is loaded.
        missing_heads: the heads that the checkpoint names although none of their weights is there.
        overflows_in_float16: whether the checkpoint says that its model overflows in float16.
        codec_task_names: the tasks that the codec answers without the model.
    """

    codec_task_names: ClassVar[tuple[str, ...]] = ()

    name: str
    folder: Path
    spec: FamilySpec[Any]
    config: FamilyConfig
    modality: str
    item_shape: tuple[int, ...]
    sha256: str | None
    licence: str | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    default_for: tuple[str, ...] = ()
    known_failings: str | None = None
    unused: list[str] = field(default_factory=list)
    missing_heads: tuple[str, ...] = ()
    overflows_in_float16: bool = False

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Return the tasks that the model answers."""
        return tuple(self.spec.tasks(self.config))

    @cached_property
    def task_names(self) -> list[str]:
        """Return the names of these tasks, and of those that the codec answers without the model."""
        return [*(task.name for task in self.tasks), *self.codec_task_names]

    @cached_property
    def modified_at(self) -> float | None:
        """Return when `config.json` was written, in seconds since 1970; None if it is gone."""
        try:
            return (self.folder / CONFIG_FILE).stat().st_mtime
        except OSError:
            return None

    @cached_property
    def n_weight_bytes(self) -> int | None:
        """Return the size of the files with the weights, in bytes; None if one is gone."""
        try:
            return sum(file.stat().st_size for file in self.folder.glob("*.safetensors"))
        except OSError:
            return None

    @property
    @abstractmethod
    def codec(self) -> Codec:
        """Return the codec that converts plain values to the model's input and back.

        Raises:
            CheckpointError: its files are missing or damaged.
        """

    @abstractmethod
    def load(self, *, device: str) -> Model:
        """Build the model as `load_model` promises."""


def load_model(checkpoint: Checkpoint, *, device: str = "cpu") -> Model:
    """Build the model with the checkpoint's weights in float32, in evaluation mode.

    Raises:
        CheckpointError: the weights are missing or damaged, have another digest, or do not fit the model.
    """
    return checkpoint.load(device=device)


class _NoInitialisation(TorchFunctionMode):
    """Skips the functions of `torch.nn.init`, so that parameters are not initialised."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == nn.init.__name__:
            return kwargs["tensor"]
        return func(*args, **(kwargs or {}))


@contextmanager
def without_weights() -> Iterator[None]:
    """Build modules on the device `meta`: their parameters have shapes, but no values and no memory.

    Initialisation is skipped, because on this device it makes torch import its compiler, which takes a second.
    """
    with torch.device("meta"), _NoInitialisation():
        yield


def build_without_weights(spec: FamilySpec[Any], config: FamilyConfig, place: str) -> Model:
    """Build a model whose parameters have no values yet.

    Args:
        spec: the family.
        config: the hyperparameters.
        place: the file with the hyperparameters, for errors.

    Raises:
        CheckpointError: the model has more than `MAX_WEIGHTS` weights, or a parameter too large for a tensor.
    """
    try:
        with without_weights():
            model: Model = spec.new_model(config)
    except (RuntimeError, TypeError) as error:  # raised by torch, with a C++ stack after the first line
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{place}: such a model cannot be built: {reason}") from None
    if model.n_parameters > MAX_WEIGHTS:
        raise CheckpointError(f"{place}: the model has {model.n_parameters} weights; it must be at most {MAX_WEIGHTS}")
    return model


def build_model(
    checkpoint: Checkpoint,
    weights: Mapping[str, Tensor],
    place: str,
    *,
    device: str,
    stored_names: Mapping[str, str] | None = None,
) -> Model:
    """Build the model of a checkpoint with these weights.

    Args:
        checkpoint: the checkpoint.
        weights: the parameters by name.
        place: the file with the weights, for errors.
        device: the device of the model.
        stored_names: the names of parameters in the file, for errors, if they differ.

    Raises:
        CheckpointError: the weights do not fit the model, or are not finite, or the model cannot compute with them.
    """
    names = stored_names or {}
    model = build_without_weights(checkpoint.spec, checkpoint.config, f"{checkpoint.name}/{CONFIG_FILE}")
    _check_shapes(place, model.state_dict(), weights, names)
    dtypes = {key: torch.float32 if w.is_floating_point() else w.dtype for key, w in weights.items()}
    cast = {
        key: w.to(device, dtypes[key], copy=True) for key, w in weights.items()
    }  # because the memory of the file is released
    if broken := sorted(names.get(key, key) for key, w in cast.items() if not w.isfinite().all()):
        raise CheckpointError(f"{place}: NaN or infinity is in {broken}, cast to float32")
    model.load_state_dict(cast, assign=True)
    model.tie()
    try:
        model.finish_loading()
    except CheckpointError as error:
        raise CheckpointError(f"{place}: {error}") from None
    return model.eval().requires_grad_(False)


def check_digest(place: str, data: bytes | memoryview, sha256: str, source: str) -> None:
    """Check the SHA-256 of a file's content.

    Args:
        place: the file, for errors.
        data: the content.
        sha256: the expected digest.
        source: the file or service that states this digest, for errors.

    Raises:
        CheckpointError: the digest is another one.
    """
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise CheckpointError(f"{place} has the SHA-256 {digest}; {source} says {sha256}")


def _check_shapes(
    place: str, expected: Mapping[str, Tensor], found: Mapping[str, Tensor], names: Mapping[str, str]
) -> None:
    """Raise CheckpointError, which names every parameter that is missing, unknown or of another shape, if any is."""
    problems = [f"missing {sorted(missing)}"] if (missing := expected.keys() - found.keys()) else []
    problems += [f"unexpected {sorted(unknown)}"] if (unknown := found.keys() - expected.keys()) else []
    problems += [
        f"{names.get(key, key)} has the shape {list(found[key].shape)} where the model has {list(expected[key].shape)}"
        for key in sorted(expected.keys() & found.keys())
        if found[key].shape != expected[key].shape
    ]
    if problems:
        raise CheckpointError(f"{place} does not fit the model: {'; '.join(problems)}")
