"""The benchmark of fitted series."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from benchmarks.detection import series as benchmark
from benchmarks.detection.series import FOREST, PROFILE, series

N, FIRST, LAST = 3000, 2000, 2060
START = np.datetime64("2026-01-01T00:00:00")
Scores = NDArray[np.float64]


def plain_matrix_profile(fitted: Scores, values: Scores, length: int) -> Scores:
    """The distance of each window, put in the place of its middle, from the nearest fitted one."""
    references = np.lib.stride_tricks.sliding_window_view(fitted, length)
    windows = np.lib.stride_tricks.sliding_window_view(values, length)
    distances = np.array([np.abs(references - window).sum(1).min() for window in windows])
    return np.pad(distances, (length // 2, length - 1 - length // 2), mode="edge")


def test_a_labelled_window_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "_matrix_profile", plain_matrix_profile)  # stumpy has an environment of its own
    steps = np.arange(N)
    values = np.sin(2 * np.pi * steps / 20) + 0.05 * np.random.default_rng(0).normal(size=N)
    values[FIRST : LAST + 1] = values[FIRST]
    times = [str(START + np.timedelta64(5, "m") * place) for place in range(N)]
    lines = "timestamp,value\n" + "".join(f"{time},{value}\n" for time, value in zip(times, values, strict=True))
    (tmp_path / "stuck.csv.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "windows.json").write_text(json.dumps({"stuck.csv": [[times[FIRST], times[LAST]]]}))
    run = CliRunner().invoke(series, [str(tmp_path), "--json"])
    assert run.exit_code == 0, run.output
    output = json.loads(run.stdout)
    (found,) = output["series"]
    assert (found["n_fitted"], found["n_scored"], found["window"]) == (450, 2550, 20)
    assert found["vus_pr"].keys() == {"this model", FOREST, PROFILE}
    assert found["vus_pr"] == output["mean_vus_pr"]
    assert found["windows_found"]["this model"] == 1.0
    assert found["vus_pr"]["this model"] > 0.6


def test_a_name_that_no_series_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / "windows.json").write_text("{}")
    run = CliRunner().invoke(series, [str(tmp_path), "--only", "x"])
    assert run.exit_code == 1
    assert "names no file that contains 'x'" in run.output
