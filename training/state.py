"""The saved state of a run between two steps, as safetensors, so that resuming needs no pickle.

No generator state is stored: all draws of a step come from generators seeded by the run's seed and the step's number.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from models.family import Model
from training.errors import StateError
from training.recipe import History

STATE_FILE = "state.safetensors"


@dataclass(frozen=True, kw_only=True)
class State:
    """Everything that a stage changes, and the folder it is saved in; `fingerprint` identifies the run."""

    folder: Path
    fingerprint: str
    model: Model
    companion: nn.Module
    optimisers: Sequence[torch.optim.Optimizer]
    history: History

    def save(self, step: int) -> None:
        """Save the state atomically, so that a kill at any moment leaves either the old or the new state."""
        tensors = {f"model.{key}": tensor for key, tensor in self.model.state_dict().items()}
        tensors |= {f"companion.{key}": tensor for key, tensor in self.companion.state_dict().items()}
        scalars: dict[str, Any] = {}
        for i, optimiser in enumerate(self.optimisers):
            for parameter, state in optimiser.state_dict()["state"].items():
                for key, value in state.items():
                    (tensors if isinstance(value, Tensor) else scalars)[f"optimiser.{i}.{parameter}.{key}"] = value
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{STATE_FILE}.partial"
        metadata = {
            "fingerprint": self.fingerprint,
            "step": str(step),
            "scalars": json.dumps(scalars),
            "history": json.dumps(asdict(self.history)),
        }
        save_file({k: tensor.detach().cpu().clone().contiguous() for k, tensor in tensors.items()}, partial, metadata)
        partial.replace(self.folder / STATE_FILE)

    def load(self) -> int | None:
        """Restore the saved state and return the number of steps done, or None if nothing is saved.

        Raises:
            StateError: the state was saved by a run with other settings.
        """
        file = self.folder / STATE_FILE
        if not file.exists():
            return None
        with safe_open(file, "pt") as saved:
            metadata = saved.metadata()
            if metadata["fingerprint"] != self.fingerprint:
                raise StateError(
                    f"{self.folder} holds the state of another recipe, seed or parent; delete it to start afresh"
                )
            values = {k: saved.get_tensor(k) for k in saved.keys()} | json.loads(metadata["scalars"])  # noqa: SIM118
        for prefix, module in (("model.", self.model), ("companion.", self.companion)):
            module.load_state_dict({k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)})
        for i, optimiser in enumerate(self.optimisers):
            states: dict[int, dict[str, Any]] = {}
            for name, value in values.items():
                if name.startswith(f"optimiser.{i}."):
                    _, _, parameter, key = name.split(".", 3)
                    states.setdefault(int(parameter), {})[key] = value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
        for name, value in json.loads(metadata["history"]).items():
            setattr(self.history, name, value)
        return int(metadata["step"])
