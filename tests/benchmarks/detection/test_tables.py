"""The benchmark of fitted tables."""

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from benchmarks.detection.tables import tables


def test_a_set_of_plain_anomalies_is_measured(tmp_path: Path) -> None:
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
    assert found["promised"] == 0.01
    assert found["false_alarms"] < 0.06
    assert found["p_value"] > 1e-3


def test_a_folder_without_sets_is_refused(tmp_path: Path) -> None:
    run = CliRunner().invoke(tables, [str(tmp_path)])
    assert run.exit_code == 1
    assert "there is no file .npz" in run.output
