"""The state of a run between two steps, as safetensors: resuming needs no pickle.

Nothing random is stored: all draws of a step come from a generator seeded by the run's seed and the step's number.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.family import Model
from training.errors import StateError

STATE_FILE = "state.safetensors"


def save_state(
    folder: Path, *, fingerprint: str, step: int, model: Model, optimisers: Sequence[torch.optim.Optimizer]
) -> None:
    """Write atomically: a kill at any moment leaves the old state or the new one."""
    tensors = {f"model.{key}": tensor for key, tensor in model.state_dict().items()}
    scalars: dict[str, Any] = {}
    for name, value in _optimiser_state(optimisers):
        (tensors if isinstance(value, Tensor) else scalars)[name] = value
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{STATE_FILE}.partial"
    metadata = {"fingerprint": fingerprint, "step": str(step), "scalars": json.dumps(scalars)}
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial, metadata)
    partial.replace(folder / STATE_FILE)


def load_state(
    folder: Path, *, fingerprint: str, model: Model, optimisers: Sequence[torch.optim.Optimizer]
) -> int | None:
    """Put a saved state into `model` and `optimisers`; returns the steps already done, None where nothing is saved.

    Raises:
        StateError: the state was saved by a run with other settings.
    """
    file = folder / STATE_FILE
    if not file.exists():
        return None
    with safe_open(file, "pt") as saved:
        metadata = saved.metadata()
        if metadata["fingerprint"] != fingerprint:
            raise StateError(f"{folder} holds the state of another recipe or seed; remove the folder to start anew")
        values = {key: saved.get_tensor(key) for key in saved.keys()} | json.loads(metadata["scalars"])  # noqa: SIM118
    model.load_state_dict({k.removeprefix("model."): v for k, v in values.items() if k.startswith("model.")})
    for i, optimiser in enumerate(optimisers):
        states: dict[int, dict[str, Any]] = {}
        for name, value in values.items():
            if name.startswith(f"optimiser.{i}."):
                _, _, parameter, key = name.split(".", 3)
                states.setdefault(int(parameter), {})[key] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
    return int(metadata["step"])


def _optimiser_state(optimisers: Sequence[torch.optim.Optimizer]) -> list[tuple[str, Any]]:
    return [
        (f"optimiser.{i}.{parameter}.{key}", value)
        for i, optimiser in enumerate(optimisers)
        for parameter, state in optimiser.state_dict()["state"].items()
        for key, value in state.items()
    ]
