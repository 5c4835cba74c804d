"""What every checkpoint folder has in common, whatever its format."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from models.codecs import Codec
from models.errors import CheckpointError
from models.family import FamilyConfig, FamilySpec, Model
from models.tasks import Task

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
MAX_WEIGHTS = 2**36
"""Of one model."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint(ABC):
    """All that is known of a checkpoint before its weights are read. `name` is the model's public id.

    `sha256` is that of the weights file, where it is known. `item_shape` is that of an item, as the model was trained;
    of texts, the most tokens.
    """

    name: str
    folder: Path
    spec: FamilySpec[Any]
    config: FamilyConfig
    modality: str
    item_shape: tuple[int, ...]
    sha256: str | None
    licence: str | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    """Parameters of heads that the model has no use for; known once it is loaded."""

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """What the model can be asked."""
        return tuple(self.spec.tasks(self.config))

    @cached_property
    def task_names(self) -> list[str]:
        """Those tasks, and what the codec of texts answers without the model."""
        return [task.name for task in self.tasks] + ["tokenize", "detokenize"] * (self.modality == "text")

    @property
    @abstractmethod
    def codec(self) -> Codec:
        """From plain values to what the model takes, and back."""

    @abstractmethod
    def load(self, *, device: str) -> Model:
        """See `load_model`."""


def load_model(checkpoint: Checkpoint, *, device: str = "cpu") -> Model:
    """Build the module and fill it with the checkpoint's weights, in float32 and eval mode.

    Raises:
        CheckpointError: the weights are missing, damaged, not those the digest names, or do not fit the module.
    """
    return checkpoint.load(device=device)


class _NoInitialisation(TorchFunctionMode):
    """Leaves weights as they are where a module would draw its first ones."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == nn.init.__name__:
            return kwargs["tensor"]
        return func(*args, **(kwargs or {}))


@contextmanager
def without_weights() -> Iterator[None]:
    """Modules made within it know the shapes of their weights, which take no memory and have no values.

    Torch imports its compiler, which takes a second, if it is to draw values that there are not.
    """
    with torch.device("meta"), _NoInitialisation():
        yield


def build_without_weights(spec: FamilySpec[Any], config: FamilyConfig, place: str) -> Model:
    """The module, see `hollow`.

    Raises:
        CheckpointError: it has more than `MAX_WEIGHTS`, or a layer that no tensor can be; `place` is the file that is
            blamed.
    """
    try:
        with without_weights():
            model: Model = spec.new_model(config)
    except (RuntimeError, TypeError) as error:  # torch's, with the stack of its C++ below
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
    names: Mapping[str, str] | None = None,
) -> Model:
    """The module with these weights.

    Raises:
        CheckpointError: they do not fit, or are not finite; `place` is the file that is blamed, `names` are those of
            its keys if not ours.
    """
    model = build_without_weights(checkpoint.spec, checkpoint.config, f"{checkpoint.name}/{CONFIG_FILE}")
    check_keys(place, expected=model.state_dict(), found=weights, names=names or {})
    types = {key: torch.float32 if w.is_floating_point() else w.dtype for key, w in weights.items()}
    cast = {key: w.to(device, types[key], copy=True) for key, w in weights.items()}  # their file may change
    if broken := sorted((names or {}).get(key, key) for key, w in cast.items() if not w.isfinite().all()):
        raise CheckpointError(f"{place}: NaN or infinity is in {broken}, cast to float32")
    model.load_state_dict(cast, assign=True)
    model.tie()
    return model.eval().requires_grad_(False)


def check_keys(
    place: str, *, expected: Mapping[str, Tensor], found: Mapping[str, Tensor], names: Mapping[str, str]
) -> None:
    """Raise a CheckpointError that names each key that is missing, not known, or of another shape."""
    problems = [f"missing {sorted(missing)}"] if (missing := expected.keys() - found.keys()) else []
    problems += [f"unexpected {sorted(extra)}"] if (extra := found.keys() - expected.keys()) else []
    problems += [
        f"{names.get(key, key)} has the shape {list(found[key].shape)} where the model has {list(expected[key].shape)}"
        for key in sorted(expected.keys() & found.keys())
        if found[key].shape != expected[key].shape
    ]
    if problems:
        raise CheckpointError(f"{place} does not fit the model: {'; '.join(problems)}")


def check_digest(place: str, data: bytes | memoryview, sha256: str, said_by: str) -> None:
    """Raise a CheckpointError unless `data` has that SHA-256."""
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise CheckpointError(f"{place} has the SHA-256 {digest}; {said_by} says {sha256}")
