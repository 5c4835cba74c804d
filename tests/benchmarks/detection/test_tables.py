"""The benchmark of fitted tables."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from benchmarks.detection import tables as benchmark
from benchmarks.detection.tables import PYOD, tables


def distance_from_the_centre(
    name: str, fitted: NDArray[np.float64], scored: NDArray[np.float64]
) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.linalg.norm(scored - fitted.mean(0), axis=1)
    return distances


def test_a_set_of_plain_anomalies_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "run_peer", distance_from_the_centre)  # PyOD has an environment of its own
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(600, 1)) @ np.ones((1, 4)) + 0.1 * rng.normal(size=(600, 4))
    rows = np.concatenate([normal, rng.normal(size=(30, 4)) * 2])
    np.savez(tmp_path / "lines.npz", X=rows, y=np.repeat([0, 1], [600, 30]))
    run = CliRunner().invoke(tables, [str(tmp_path), "--seeds", "1", "--json"])
    assert run.exit_code == 0, run.output
    output = json.loads(run.stdout)
    (found,) = output["sets"]
    assert found["name"] == "lines"
    assert found["auroc"] == output["mean_auroc"]
    assert found["auroc"]["combined"] > 0.9
    assert 0.5 < found["auroc"][PYOD] < found["auroc"]["combined"]
    assert found["promised"] == 0.01
    assert found["false_alarms"] < 0.06
    assert found["p_value"] > 1e-3


def test_a_folder_without_sets_is_refused(tmp_path: Path) -> None:
    run = CliRunner().invoke(tables, [str(tmp_path)])
    assert run.exit_code == 1
    assert "there is no file .npz" in run.output
