"""Models of sounds are calibrated on a folder of sounds."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.settings import Settings
from models.autoencoders.encodec import FAMILY
from tests.app.sounds import STEREO, answer, file_of, tone, write
from tests.conftest import served
from training.fit.calibrate_command import calibrate

pytest.importorskip("soundfile")
pytest.importorskip("soxr")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of sounds, `STEREO`, without a calibration; and beside it normal sounds of other rates and channels."""
    write(tmp_path, STEREO, 1)
    sounds = tmp_path / "sounds"
    (sounds / "more").mkdir(parents=True)
    (sounds / "broken").mkdir()
    for i in range(20):
        kind = ("WAV", "FLAC")[i % 2]
        path = sounds / ("more" if i > 10 else "") / f"{i}.{kind.lower()}"
        path.write_bytes(file_of(tone(0.3 + 0.01 * i, rate=16_000, hertz=200 + 20 * i), kind, rate=16_000))
    (sounds / "broken" / "21.wav").write_bytes(file_of(tone(0.3)))
    return tmp_path


def run(folder: Path, *options: str) -> Result:
    arguments = [STEREO, str(folder / "sounds"), "--checkpoints", str(folder / FAMILY.id)]
    return CliRunner().invoke(calibrate, [*arguments, *options])


@pytest.mark.anyio
async def test_a_model_finds_anomalies_once_it_is_calibrated(folder: Path) -> None:
    done = run(folder, "--label", "broken", "--false-alarms", "0.1", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["score"], found["n_scores"]) == ("spectral", 20)
    assert (found["threshold_before"], found["flagged_before"]) == (None, None)
    async with served(Settings(weights_dir=folder)) as client:
        (output,) = (await answer(client, "/detect-anomalies", STEREO, tone(0.3, n_channels=2).tolist()))["outputs"]
        assert output["threshold"] == pytest.approx(found["threshold"])
        card = (await client.get(f"/models/{STEREO}")).json()
        assert "detect_anomalies" in card["tasks"]
    again = run(folder, "--false-alarms", "0.1", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["n_scores"] == 21
    assert json.loads(again.stdout)["threshold_before"] == found["threshold"]
    assert 0 <= json.loads(again.stdout)["flagged_before"] <= 0.2
    assert "21 new scores; the threshold is" in run(folder, "--false-alarms", "0.1").output


def test_sounds_that_are_no_use_are_named(folder: Path) -> None:
    few = run(folder, "--false-alarms", "0.001")
    assert few.exit_code == 1
    assert "cannot be promised from 21 held-out scores" in few.output
    (folder / "sounds" / "broken" / "21.wav").write_bytes(b"RIFF")
    assert "21.wav: the bytes are neither WAV, FLAC nor Ogg" in run(folder).output
    assert not (folder / FAMILY.id / STEREO / "calibration.safetensors").exists()
    empty = folder / "empty"
    empty.mkdir()
    arguments = [STEREO, str(empty), "--checkpoints", str(folder / FAMILY.id)]
    assert "has 0 sounds (.wav, .flac, .ogg)" in CliRunner().invoke(calibrate, arguments).output
