"""Tests of the recipe of spoken digits, from training to the published folder, on tones."""

from pathlib import Path
from typing import Any, cast

import pytest
import soundfile
import torch

from models.autoencoders.encodec.model import Encodec
from models.checkpoint import load_model, read_checkpoint
from models.tasks import DETECT_SOUND_ANOMALIES
from tests.training.sounds import tiny
from training.data.files import DataFolder
from training.publish import measure, publish
from training.recipe import Resources
from training.recipes import encodec_mini_digits
from training.recipes.encodec_mini_digits import EncodecMiniDigits, held_out_recordings, training_recordings
from training.sounds.classification import SoundClassification
from training.sounds.reconstruction import SoundReconstruction
from training.trainer import Run, train

SETTINGS: dict[str, Any] = {
    "recordings_of": training_recordings,
    "n_samples": 640,
    "sampling_rate": 8000,
    "batch_size": 8,
    "lr": 5e-3,
    "time_weight": 1.0,
    "class_weight": 0.1,
}


class Tiny(EncodecMiniDigits):
    """The recipe with a small network and few recordings."""

    config = tiny.CONFIG
    stages = (  # type: ignore[assignment]
        SoundReconstruction(name="networks", has_codebooks=False, n_epochs=3, **SETTINGS),
        SoundReconstruction(name="codebooks", has_codebooks=True, n_epochs=10, **SETTINGS),
        SoundClassification(recordings_of=training_recordings, n_epochs=300, batch_size=20, lr=0.02, weight_decay=0.0),
    )
    bars = {}  # noqa: RUF012


@pytest.fixture
def tones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put tones in the place of the data set."""
    monkeypatch.setattr(encodec_mini_digits, "fsdd", lambda data: tiny.split())
    monkeypatch.setattr(encodec_mini_digits, "CONFIG", tiny.CONFIG)


@pytest.mark.usefixtures("tones")
def test_the_last_takes_of_the_training_split_are_held_out() -> None:
    data = DataFolder(Path("nowhere"), download=False)
    trained, held_out = training_recordings(data), held_out_recordings(data)
    assert set(trained.takes.tolist()) == {43, 44}
    assert set(held_out.takes.tolist()) == {45, 46}
    assert len(trained.sounds) == len(held_out.sounds) == 20


@pytest.mark.usefixtures("tones")
def test_the_recipe_learns_and_publishes_what_it_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe: Any = Tiny()
    held = Resources(DataFolder(Path("nowhere"), download=False), tmp_path / "weights")
    run = train(recipe, Run(resources=held, folder=tmp_path / "runs", device="cpu", quiet=True))
    folder = publish(recipe, run, held)
    checkpoint = read_checkpoint(folder)
    assert checkpoint.metrics["digit_accuracy"] >= 0.5
    assert checkpoint.metrics["log_mel_distance_3"] < 20
    assert 3.0 <= checkpoint.metrics["kbit_per_s"] < checkpoint.metrics["stream_kbit_per_s"]
    assert DETECT_SOUND_ANOMALIES in checkpoint.tasks
    card = (folder / "README.md").read_text()
    assert "CC-BY-SA-4.0" in card
    assert (folder / "spectrograms.png").read_bytes().startswith(b"\x89PNG")
    for title in ("recording", "3-kbit-s", "2-kbit-s", "1-kbit-s"):
        assert f'src="{title}.flac"' in card
        sound, rate = soundfile.read(folder / f"{title}.flac")
        assert (rate, len(sound)) == (8000, sum(each.shape[1] + 2000 for each in tiny.recordings(1).sounds[:5]))
    model = cast("Encodec", load_model(checkpoint))
    trained = run.model.state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, trained[name], rtol=2e-3, atol=1e-4)
    monkeypatch.setattr("training.publish.get_recipe", lambda name: recipe)
    measured = measure(held)
    assert {each.metric for each in measured} == set(EncodecMiniDigits.metrics)
    assert all(each.holds for each in measured)
