"""Tests of averaged weights, with and without an interruption."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.family import Model
from models.transformers.vanilla.model import VanillaTransformer
from tests.training.texts.tiny import (
    TinyTranslation,
    resources,
)
from training.texts.averaging import WeightAverage
from training.texts.translation import Translation
from training.trainer import Run, train


def test_an_average_is_the_plain_mean() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    average, seen = WeightAverage(model), [[p.detach().clone() for p in model.parameters()]]
    average.add(model)
    for _ in range(6):
        for parameter in model.parameters():
            nn.init.normal_(parameter)
        seen.append([p.detach().clone() for p in model.parameters()])
        average.add(model)
    assert average.n_added.item() == 7
    average.copy_to(model)
    for parameter, values in zip(model.parameters(), zip(*seen, strict=True), strict=True):
        torch.testing.assert_close(parameter.detach(), torch.stack(values).mean(0))


def test_an_empty_average_changes_nothing() -> None:
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    WeightAverage(model).copy_to(model)
    assert torch.equal(model.weight, before)


def test_an_average_resumes_from_its_buffers() -> None:
    model = nn.Linear(2, 2)
    one, whole = WeightAverage(model), WeightAverage(model)
    for step in range(5):
        nn.init.normal_(model.weight)
        for average in (one, whole):
            average.add(model)
        if step == 2:
            state, one = one.state_dict(), WeightAverage(model)
            one.load_state_dict(state)
    for name, value in whole.state_dict().items():
        assert torch.equal(one.state_dict()[name], value)


def trained(run: Path, weights: Path, n_steps: int | None = None) -> tuple[Model, list[dict[str, Tensor]]]:
    """Return the model, and the weights after each step."""
    seen: list[dict[str, Tensor]] = []
    after_step = Translation.after_step

    def watched(self: Translation, model: VanillaTransformer, companion: nn.Module, progress: float) -> None:
        after_step(self, model, companion, progress)
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Translation, "after_step", watched)
        settings = Run(resources=resources(weights), folder=run, device="cpu", n_steps=n_steps, quiet=True)
        return train(TinyTranslation(), settings).model, seen


@pytest.mark.parametrize("cut", [5, 12, 15, 20])
def test_a_translation_model_is_the_mean_of_its_last_steps_cut_or_not(cut: int, tmp_path: Path) -> None:
    whole, seen = trained(tmp_path / "whole", tmp_path)
    assert len(seen) == 20
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(tensor, torch.stack([state[name] for state in seen[12:]]).mean(0))
    assert not torch.equal(whole.state_dict()["bias"], seen[-1]["bias"])
    trained(tmp_path / "cut", tmp_path, cut)
    again, rest = trained(tmp_path / "cut", tmp_path)
    assert len(rest) == 20 - cut
    for name, tensor in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_positions_are_sinusoids_and_stay_so(tmp_path: Path) -> None:
    _, seen = trained(tmp_path / "run", tmp_path)
    for side in ("encoder", "decoder"):
        positions = seen[-1][f"{side}.positions.weight"]
        assert torch.equal(positions, seen[0][f"{side}.positions.weight"])
        torch.testing.assert_close(positions[3, 0], torch.tensor(3.0).sin())
        torch.testing.assert_close(positions[3, 12], torch.tensor(3.0).cos())
