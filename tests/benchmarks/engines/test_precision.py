"""What a sentence encoder loses in int8."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.engines import precision as module
from training.data.files import DataFolder
from training.data.stsb import ScoredPair, StsB

WEIGHTS = Path(__file__).parents[3] / "weights"
PAIRS = [
    ScoredPair("A man is playing a guitar.", "Someone makes music.", 4.0),
    ScoredPair("A man is playing a guitar.", "A man is eating soup.", 1.5),
    ScoredPair("Two dogs run through the snow.", "The stock market fell sharply.", 0.0),
    ScoredPair("A child sleeps in a bed.", "A kid is asleep.", 4.8),
]


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    def few(folder: DataFolder) -> StsB:
        return StsB([], [], PAIRS)

    monkeypatch.setattr(module, "stsb", few)


@pytest.mark.usefixtures("pairs")
def test_int8_is_compared_with_float32(tmp_path: Path) -> None:
    folder = WEIGHTS / "transformers/bert/sentence-mini-en"
    result = CliRunner().invoke(module.precision, [str(folder), str(tmp_path), "--rounds", "1", "--json"])
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert list(output) == list(module.PRECISIONS)
    exact = output["float32"]
    assert (exact["mean_cosine"], exact["speed"]) == (pytest.approx(1.0, abs=1e-6), 1.0)
    assert 0.9 < output["int8"]["least_cosine"] <= output["int8"]["mean_cosine"] < 0.999999
    assert output["int8"]["speed"] > 0
    assert all(-1 <= one["spearman"] <= 1 for one in output.values())


@pytest.mark.usefixtures("pairs")
def test_what_is_no_encoder_of_texts_is_refused(tmp_path: Path) -> None:
    folder = WEIGHTS / "autoencoders/vanilla/vanilla-ae-mnist"
    result = CliRunner().invoke(module.precision, [str(folder), str(tmp_path)])
    assert result.exit_code == 1
    assert "is no encoder of texts" in result.output
