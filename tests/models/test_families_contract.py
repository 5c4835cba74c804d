"""What every family promises, tried on its tiny configuration. A new family is tested here without an edit."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.catalogue import families
from models.checkpoint import load_model, write_checkpoint
from models.family import FamilySpec, Model
from models.tasks import Task

CASES = [pytest.param(spec, task, id=f"{name}-{task.name}") for name, spec in families().items() for task in spec.tasks]


@pytest.fixture(params=list(families().values()), ids=list(families()))
def spec(request: pytest.FixtureRequest) -> FamilySpec[Any]:
    family: FamilySpec[Any] = request.param
    return family


def build(spec: FamilySpec[Any]) -> Model:
    torch.manual_seed(0)
    model: Model = spec.build(spec.tiny)
    return model.eval().requires_grad_(False)


def random_request(model: Model, task: Task, seed: int) -> Any:
    """The example, its tensors replaced by others of their shape in [0, 1]."""
    request: Any = model.example(task)
    draw = torch.Generator().manual_seed(seed)
    tensors = {
        field.name: torch.rand(value.shape, generator=draw)
        for field in dataclasses.fields(request)
        if isinstance(value := getattr(request, field.name), Tensor)
    }
    return dataclasses.replace(request, **tensors)


def assert_same(one: Any, other: Any) -> None:
    for field in dataclasses.fields(one):
        torch.testing.assert_close(getattr(one, field.name), getattr(other, field.name), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("spec", "task"), CASES)
def test_it_has_the_tasks_it_declares(spec: FamilySpec[Any], task: Task) -> None:
    model = build(spec)
    assert isinstance(model, task.protocol)
    (result,) = task.run(model, [model.example(task)])
    assert isinstance(result, task.result)
    assert isinstance(model.example(task), task.request)
    assert model.example(task).cost > 0


@pytest.mark.parametrize(("spec", "task"), CASES)
def test_a_batch_gives_what_its_requests_give_alone(spec: FamilySpec[Any], task: Task) -> None:
    model = build(spec)
    requests = [random_request(model, task, seed) for seed in range(17)]
    for request, together in zip(requests, task.run(model, requests), strict=True):
        (alone,) = task.run(model, [request])
        assert_same(together, alone)


@pytest.mark.parametrize(("spec", "task"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_results_lie_on_the_cpu_in_float32(spec: FamilySpec[Any], task: Task, dtype: torch.dtype) -> None:
    model = build(spec).to(dtype)
    (result,) = task.run(model, [model.example(task)])
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if isinstance(value, Tensor):
            assert (value.dtype, value.device.type) == (torch.float32, "cpu")


def test_its_configuration_survives_json(spec: FamilySpec[Any]) -> None:
    assert spec.config.from_dict(json.loads(json.dumps(spec.tiny.to_dict()))) == spec.tiny


def test_a_checkpoint_gives_the_same_answers(spec: FamilySpec[Any], tmp_path: Path) -> None:
    model = build(spec)
    checkpoint = write_checkpoint(
        tmp_path / "tiny",
        model,
        family_id=spec.id,
        config=spec.tiny,
        codec={"modality": "image", "shape": list(model.input_shape)},
        licence="Apache-2.0",
        dtype=torch.float32,
    )
    loaded = load_model(checkpoint)
    for task in spec.tasks:
        request = random_request(model, task, 0)
        assert_same(task.run(model, [request])[0], task.run(loaded, [request])[0])


def test_it_names_its_source(spec: FamilySpec[Any]) -> None:
    assert spec.title
    assert any(character.isdigit() for character in spec.paper)
