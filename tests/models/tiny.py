"""The tiny configurations of all families of autoencoders in the project's own format, as models and checkpoints.

Families whose checkpoints are published in a format of others are tested in `test_published_pictures`.
"""

import copy
import dataclasses
from functools import cache
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
    f"{family_id.split('/')[1]}-{number}": (spec, config)
    for family_id, spec in families().items()
    if spec.modality not in ("text", "sentence", "audio") and spec.published is None
    for number, config in enumerate(spec.tiny)
}
TINY = [pytest.param(*case, id=name) for name, case in CASES.items()]
TINY_TASKS = [
    pytest.param(spec, config, task, id=f"{name}-{task.name}")
    for name, (spec, config) in CASES.items()
    for task in spec.tasks(config)
]


def build(spec: FamilySpec[Any], config: FamilyConfig) -> Autoencoder:
    """Return a model with random weights, calibrated on random items. A test may change it."""
    model, random_state = _build_once(spec.id, config)
    torch.set_rng_state(random_state)
    return copy.deepcopy(model)


@cache
def _build_once(family_id: str, config: FamilyConfig) -> tuple[Autoencoder, Tensor]:
    torch.manual_seed(0)
    model = cast("Autoencoder", families()[family_id].new_model(config).eval().requires_grad_(False))
    items = list(torch.rand(40, *model.input_shape))
    model.calibration = calibrate(model, items, [(model, items)], percentile=90.0, n_components=3)
    return model, torch.get_rng_state()


def build_case(name: str) -> Autoencoder:
    """Build the model of one of the `CASES`."""
    return build(*CASES[name])


def codec(spec: FamilySpec[Any], model: Autoencoder) -> dict[str, Any]:
    """Return the description of the model's items in a checkpoint."""
    shape = list(model.input_shape)
    if spec.modality == "image":
        return {"modality": "image", "shape": shape}
    deviations = [2.0] * shape[1]
    return {"modality": "series", "shape": shape, "max_length": 12, "means": [1.0] * shape[1], "deviations": deviations}


def write(spec: FamilySpec[Any], config: FamilyConfig, folder: Path) -> Checkpoint:
    """Write the model of a configuration as a checkpoint."""
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
    """Return the model's example of a request with random tensors in [0, 1] in place of its own."""
    request: Any = model.example(task)
    generator = torch.Generator().manual_seed(seed)
    if isinstance(request, DecompressRequest):
        return dataclasses.replace(request, stream=request.stream)
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(request):
        value = getattr(request, field.name)
        if isinstance(value, Tensor):
            changes[field.name] = torch.rand(value.shape, generator=generator)
        elif isinstance(value, tuple):
            changes[field.name] = tuple(torch.rand(item.shape, generator=generator) for item in value)
        elif field.name == "seed" and value is not None:
            changes[field.name] = seed
    return dataclasses.replace(request, **changes)


def assert_same(actual: Any, expected: Any, tolerance: float = 1e-5) -> None:
    """Compare two results or parts of results; tensors and floats may differ by the tolerance."""
    if dataclasses.is_dataclass(actual):
        for field in dataclasses.fields(actual):
            assert_same(getattr(actual, field.name), getattr(expected, field.name), tolerance)
    elif isinstance(actual, tuple):
        for actual_part, expected_part in zip(actual, expected, strict=True):
            assert_same(actual_part, expected_part, tolerance)
    elif isinstance(actual, Tensor | float):
        torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    else:
        assert actual == expected
