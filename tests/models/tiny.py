"""Every family's tiny configurations as models and checkpoints, and random requests to them."""

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.catalogue import families
from models.checkpoint import Checkpoint, write_checkpoint
from models.family import FamilyConfig, FamilySpec
from models.tasks import Task
from models.tasks.autoencoding import DecompressRequest
from training.calibrate import calibrate

CASES: dict[str, tuple[FamilySpec[Any], FamilyConfig]] = {
    f"{name.split('/')[1]}-{number}": (spec, config)
    for name, spec in families().items()
    if spec.modality != "text"
    for number, config in enumerate(spec.tiny)
}
TINY = [pytest.param(*case, id=name) for name, case in CASES.items()]
TINY_TASKS = [
    pytest.param(spec, config, task, id=f"{name}-{task.name}")
    for name, (spec, config) in CASES.items()
    for task in spec.tasks(config)
]


def build(spec: FamilySpec[Any], config: FamilyConfig) -> Autoencoder:
    """With random weights, calibrated on random items."""
    torch.manual_seed(0)
    model = cast("Autoencoder", spec.new_model(config).eval().requires_grad_(False))
    items = list(torch.rand(40, *model.input_shape))
    model.calibration = calibrate(model, items, [(model, items)], percentile=90.0, n_components=3)
    return model


def codec(spec: FamilySpec[Any], model: Autoencoder) -> dict[str, Any]:
    """What a checkpoint of that model says of its items."""
    shape = list(model.input_shape)
    if spec.modality == "image":
        return {"modality": "image", "shape": shape}
    deviations = [2.0] * shape[1]
    return {"modality": "series", "shape": shape, "max_length": 12, "means": [1.0] * shape[1], "deviations": deviations}


def write(spec: FamilySpec[Any], config: FamilyConfig, folder: Path) -> Checkpoint:
    """As a checkpoint."""
    model = build(spec, config)
    return write_checkpoint(
        folder,
        model,
        model.calibration,
        family_id=spec.id,
        config=config,
        codec=codec(spec, model),
        licence="Apache-2.0",
        dtype=torch.float32,
    )


def random_request(model: Autoencoder, task: Task, seed: int) -> Any:
    """The example, its tensors replaced by others of their shape in [0, 1]."""
    request: Any = model.example(task)
    draw = torch.Generator().manual_seed(seed)
    if isinstance(request, DecompressRequest):
        return dataclasses.replace(request, stream=request.stream)
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(request):
        value = getattr(request, field.name)
        if isinstance(value, Tensor):
            changes[field.name] = torch.rand(value.shape, generator=draw)
        elif isinstance(value, tuple):
            changes[field.name] = tuple(torch.rand(item.shape, generator=draw) for item in value)
        elif field.name == "seed" and value is not None:
            changes[field.name] = seed
    return dataclasses.replace(request, **changes)


def assert_same(one: Any, other: Any, tolerance: float = 1e-5) -> None:
    """Results or parts of them, tensors and floats within the tolerance."""
    if dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name), tolerance)
    elif isinstance(one, tuple):
        for mine, yours in zip(one, other, strict=True):
            assert_same(mine, yours, tolerance)
    elif isinstance(one, Tensor | float):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)
    else:
        assert one == other
