import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from models.autoencoders.vanilla import FAMILY
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration
from models.checkpoint import load_model, read_checkpoint
from models.family import Model
from tests.training.tiny import TinyRecipe
from training import publish as publishing
from training import recipe as recipes
from training.calibrate import Scored
from training.cli import evaluate, train
from training.data.files import DataFolder
from training.errors import DataError
from training.metrics import pca_error, reconstruction_errors
from training.publish import measure, publish, publish_scores
from training.recipe import Bar, Resources, TrainedModel

NOWHERE = DataFolder(Path("nowhere"), download=False)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(0)
    monkeypatch.setattr(publishing, "get_recipe", lambda name: TinyRecipe())
    run = TrainedModel(FAMILY.new_model(TinyRecipe.config), {})
    return publish(TinyRecipe(), run, Resources(NOWHERE, tmp_path))


def calibration_of(folder: Path) -> Calibration:
    return cast("Autoencoder", load_model(read_checkpoint(folder))).calibration


def edit_metric(folder: Path, value: float) -> None:
    file = folder / "config.json"
    content = json.loads(file.read_text())
    content["metrics"]["test_mse"] = value
    file.write_text(json.dumps(content))


def test_published_numbers_are_measured_again(published: Path, tmp_path: Path) -> None:
    assert published == tmp_path / "autoencoders/vanilla/tiny-ae"
    measurements = {m.metric: m for m in measure(Resources(NOWHERE, tmp_path))}
    assert set(measurements) == {"test_mse", "test_mae"}
    for m in measurements.values():
        assert m.measured == m.published
        assert m.holds
    assert measurements["test_mse"].must == 0.09
    assert f"{measurements['test_mse'].measured:.5f}" in (published / "README.md").read_text()
    checkpoint = read_checkpoint(published)
    assert (checkpoint.default_for, checkpoint.known_failings) == (TinyRecipe.default_for, TinyRecipe.known_failings)
    for picture in ("picture.png", "charts.png"):
        assert (published / picture).read_bytes().startswith(b"\x89PNG")


def test_each_item_is_scored_by_the_run_that_left_it_out(tmp_path: Path) -> None:
    class Folded(TinyRecipe):
        name = "folded-ae"
        n_folds = 2

    torch.manual_seed(0)
    first, even, odd = (FAMILY.new_model(TinyRecipe.config).eval() for _ in range(3))
    folder = publish(
        Folded(),
        TrainedModel(first, {}),
        Resources(NOWHERE, tmp_path),
        [TrainedModel(even, {}), TrainedModel(odd, {})],
    )
    _, normal = Folded().calibration_items(NOWHERE)
    with torch.inference_mode():
        expected = [
            (model(item[None]) - item).square().mean()
            for model, part in ((even, normal[::2]), (odd, normal[1::2]))
            for item in part
        ]
    torch.testing.assert_close(calibration_of(folder).scores["mse"], torch.stack(expected).sort().values)


def test_rewriting_updates_the_folder_to_the_measurement(published: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in published.iterdir() if path.is_file()}
    edit_metric(published, 0.01)
    for name in ("README.md", "picture.png", "charts.png"):
        (published / name).unlink()
    arguments = ["--weights", str(tmp_path), "--data", "nowhere"]
    assert CliRunner().invoke(evaluate, [*arguments, "--rewrite"]).exit_code == 1
    assert {path.name: path.read_bytes() for path in published.iterdir() if path.is_file()} == before
    assert CliRunner().invoke(evaluate, arguments).exit_code == 0


def test_scores_are_fitted_and_calibrated_without_training(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Rescored(TinyRecipe):
        metrics = {**TinyRecipe.metrics, "found": "share"}  # noqa: RUF012

        def add_scores(self, model: Autoencoder, scored: Scored, resources: Resources) -> None:
            model.scores = ("mae", "mse")

        def evaluate_scores(self, model: Model, resources: Resources) -> dict[str, float]:
            return {"found": 0.25}

    before = read_checkpoint(published)
    weights = (published / "model.safetensors").read_bytes()
    calibration = calibration_of(published).scores["mse"]
    edit_metric(published, 0.01)
    monkeypatch.setattr(recipes, "get_recipe", lambda name: Rescored())
    arguments = ["vanilla-ae-mnist", "--data", "nowhere", "--weights", str(tmp_path), "--scores-only"]
    result = CliRunner().invoke(train, arguments)
    assert (result.exit_code, result.output) == (0, f"published {published}\n")
    after = read_checkpoint(published)
    assert after.metrics == {**before.metrics, "test_mse": 0.01, "found": 0.25}
    assert "| share | 0.25000 |" in (published / "README.md").read_text()
    assert (published / "model.safetensors").read_bytes() == weights
    scores = calibration_of(published).scores
    assert list(scores) == ["mae", "mse"]
    torch.testing.assert_close(scores["mse"], calibration)


def test_scores_that_need_training_are_refused(published: Path, tmp_path: Path) -> None:
    class Folded(TinyRecipe):
        n_folds = 2

    class Unmeasured(TinyRecipe):
        metrics = {**TinyRecipe.metrics, "found": "share"}  # noqa: RUF012

    for recipe, message in (
        (Folded(), "cannot be calibrated without"),
        (Unmeasured(), "tiny-ae has no published found"),
    ):
        with pytest.raises(DataError, match=message):
            publish_scores(recipe, Resources(NOWHERE, tmp_path))


def test_an_edited_number_does_not_hold(published: Path, tmp_path: Path) -> None:
    edit_metric(published, 0.01)
    held = {m.metric: m.holds for m in measure(Resources(NOWHERE, tmp_path))}
    assert held == {"test_mse": False, "test_mae": True}


def test_a_missed_bar_does_not_hold(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TinyRecipe, "bars", {"test_mse": Bar(must=1e-9, aim=1e-9)})
    held = {m.metric: m.holds for m in measure(Resources(NOWHERE, tmp_path))}
    assert held == {"test_mse": False, "test_mae": True}


def test_evaluate_exits_with_1_where_a_number_does_not_hold(published: Path, tmp_path: Path) -> None:
    arguments = ["--weights", str(tmp_path), "--data", "nowhere", "--json"]
    good = CliRunner().invoke(evaluate, arguments)
    assert (good.exit_code, [row["holds"] for row in json.loads(good.stdout)]) == (0, [True, True])
    assert good.stderr == "tiny-ae (1 of 1)\n"
    edit_metric(published, 0.01)
    bad = CliRunner().invoke(evaluate, arguments)
    assert (bad.exit_code, [row["holds"] for row in json.loads(bad.stdout)]) == (1, [False, True])
    assert "tiny-ae" in CliRunner().invoke(evaluate, arguments[:-1]).stdout


def test_missing_data_is_a_message_not_a_traceback(tmp_path: Path) -> None:
    result = CliRunner().invoke(train, ["vanilla-ae-mnist", "--data", str(tmp_path), "--runs", str(tmp_path)])
    assert result.exit_code == 1
    assert "train-images-idx3-ubyte.gz is missing; leave --data out to download it" in result.output


def test_errors_are_means_over_items_and_elements() -> None:
    model = FAMILY.new_model(FAMILY.tiny[0]).eval()
    items = torch.rand(7, 1, 4, 4)
    with torch.inference_mode():
        difference = model(items) - items
    errors = reconstruction_errors(model, list(items))
    assert errors["test_mse"] == pytest.approx(difference.square().mean().item(), rel=1e-5)
    assert errors["test_mae"] == pytest.approx(difference.abs().mean().item(), rel=1e-5)


def test_pca_agrees_with_the_singular_value_decomposition() -> None:
    draw = torch.Generator().manual_seed(0)
    train_items, test_items = torch.rand(50, 1, 3, 3, generator=draw), torch.rand(20, 1, 3, 3, generator=draw)
    x, y = train_items.flatten(1).double().numpy(), test_items.flatten(1).double().numpy()
    basis = np.linalg.svd(x - x.mean(0))[2][:4]
    centred = y - x.mean(0)
    expected = np.square(centred - centred @ basis.T @ basis).mean()
    assert pca_error(train_items, test_items, 4) == pytest.approx(expected, rel=1e-9)
    assert pca_error(train_items, train_items, 9) == pytest.approx(0, abs=1e-12)
