"""Models on processors for which there are no compiled kernels."""

from typing import Any

import pytest
import torch

from models.family import FamilyConfig, FamilySpec
from models.tasks import PROJECT_TEXTS
from tests.models import tiny
from tests.models.ops.kernels import disable_cpu_kernels
from tests.models.transformers import test_contract as texts


@pytest.mark.parametrize(("spec", "config"), [pytest.param(*case, id=name) for name, case in texts.CASES.items()])
def test_every_transformer_answers_the_same_without_kernels(
    spec: FamilySpec[Any], config: FamilyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = texts.build(spec, config)
    with torch.inference_mode():
        tasks = set(spec.tasks(config)) - {PROJECT_TEXTS}  # whose two points are equal up to the last bit
        before = {task: model.run(task, [model.example(task)]) for task in tasks}
        disable_cpu_kernels(monkeypatch)
        for task, (expected,) in before.items():
            (found,) = model.run(task, [model.example(task)])
            tiny.assert_same(found, expected, tolerance=1e-4)
