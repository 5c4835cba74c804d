"""The whole way of a series: three sensors at 10 Hz, `manifold fit`, and new readings sent to the server."""

import csv
import io
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from app.settings import Settings
from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import load_model, read_checkpoint
from tests.conftest import served, write_tiny
from training.fit.calibrate_command import calibrate
from training.fit.command import fit

N_FITTED, N_NEW = 6000, 1200
NAMES = ("pressure", "flow", "temperature")
START_S = 1_767_225_600.0
Readings = NDArray[np.float64]


def readings(n: int, seed: int) -> Readings:
    """Three sensors of a pump, `[n, 3]`: a cycle of 4 s that two of them share, and a slow temperature."""
    rng = np.random.default_rng(seed)
    steps = np.arange(n)
    cycle = np.sin(2 * np.pi * steps / 40)
    pressure = 3 + 0.5 * cycle + 0.05 * rng.normal(size=n)
    flow = 20 + 4 * np.roll(cycle, 5) + 0.3 * rng.normal(size=n)
    temperature = 60 + 2 * np.sin(2 * np.pi * steps / 3000) + 0.1 * rng.normal(size=n)
    return np.stack([pressure, flow, temperature], 1).round(4)


def with_faults(rows: Readings) -> dict[str, tuple[int, int, str]]:
    """Put a spike, a stuck value and a drift into rows, and return the first and last row and the column of each."""
    rows[200, 1] += 6
    rows[500:560, 0] = rows[500, 0]
    rows[800:900, 2] += np.linspace(0, 8, 100)
    return {"spike": (200, 200, "flow"), "stuck": (500, 559, "pressure"), "drift": (800, 899, "temperature")}


def to_csv(rows: Readings, pumps: list[str] | None = None) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["timestamp", *NAMES, *(["pump"] if pumps else [])])
    for place, row in enumerate(rows.tolist()):
        writer.writerow([f"{START_S + place / 10:.1f}", *row, *([pumps[place]] if pumps else [])])
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("series")
    (root / "readings.csv").write_text(to_csv(readings(N_FITTED, 0)))
    return root


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, Any]:
    arguments = [folder / "readings.csv", "--name", "pumps", "--time", "timestamp", "--output", folder / "own"]
    run = CliRunner().invoke(fit, [*map(str, arguments), "--minutes", "0.2", "--false-alarms", "0.005", "--json"])
    assert run.exit_code == 0, run.output
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.fixture
async def client(folder: Path, result: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    write_tiny(folder / "weights")
    async with served(Settings(weights_dir=folder / "weights", checkpoints_dir=folder / "own")) as client:
        yield client


def columns_of(rows: Readings) -> dict[str, Any]:
    times = [START_S + place / 10 for place in range(len(rows))]
    return {"timestamp": times, **dict(zip(NAMES, rows.T.tolist(), strict=True))}


def test_the_fit_finds_the_order_and_the_window(folder: Path, result: dict[str, Any]) -> None:
    assert (result["kind"], result["window"]) == ("series", 40)
    card = (folder / "own" / "pumps" / "README.md").read_text()
    assert "The column `timestamp` puts the rows in order; a step is 0.1 s." in " ".join(card.split())
    assert (folder / "own" / "pumps" / "charts.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.anyio
async def test_faults_are_found_where_they_are_and_in_their_column(client: httpx.AsyncClient) -> None:
    rows = readings(N_NEW, 1)
    faults = with_faults(rows)
    answer = await client.post("/detect-anomalies", json={"model": "pumps", "inputs": columns_of(rows)})
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    assert output["is_anomaly"]
    assert len(output["rows"]["scores"]) == len(output["rows"]["p_values"]) == N_NEW
    assert output["score"] == max(output["rows"]["scores"])
    is_fault = np.zeros(N_NEW, dtype=bool)
    for name, (first, last, column) in faults.items():
        is_fault[max(0, first - 6) : last + 7] = True
        found = [each for each in output["anomalies"] if each["first"] <= last and each["last"] >= first]
        assert found, name
        strongest = max(found, key=lambda each: each["score"])
        assert max(strongest["contributions"], key=strongest["contributions"].__getitem__) == column, name
        assert strongest["first_time"] == START_S + strongest["first"] / 10
    flagged = np.array(output["rows"]["scores"]) > output["threshold"]
    assert flagged[~is_fault].mean() < 0.03
    sums = sum(np.array(parts) for parts in output["contributions"].values())
    np.testing.assert_allclose(sums, output["rows"]["scores"], rtol=1e-4)


@pytest.mark.anyio
@pytest.mark.parametrize("n_steps", [40, 45, 60])
async def test_short_series_have_no_more_false_alarms_than_long_ones(client: httpx.AsyncClient, n_steps: int) -> None:
    rows = readings(N_NEW, 3)
    series = [columns_of(rows[first : first + n_steps]) for first in range(0, N_NEW - n_steps + 1, n_steps)]
    answer = await client.post("/detect-anomalies", json={"model": "pumps", "inputs": series})
    outputs = answer.json()["outputs"]
    assert np.mean([np.array(each["rows"]["scores"]) > each["threshold"] for each in outputs]) < 0.05


@pytest.mark.anyio
async def test_long_series_are_reconstructed_denoised_and_filled_in(client: httpx.AsyncClient) -> None:
    rows = readings(300, 2)
    series = columns_of(rows)

    async def output(task: str, inputs: Any, **parameters: Any) -> Any:
        answer = await client.post(f"/{task}", json={"model": "pumps", "inputs": inputs, "parameters": parameters})
        assert answer.status_code == 200, (task, answer.text)
        (found,) = answer.json()["outputs"]
        return found

    for task, name in (("reconstruct", "reconstruction"), ("denoise", "denoised")):
        found = (await output(task, series))[name]
        assert found.keys() == set(NAMES)
        for place, column in enumerate(NAMES):
            assert np.std(np.array(found[column]) - rows[:, place]) < 0.8 * np.std(rows[:, place]), (task, column)
    torn = {**series, "pressure": [None if 100 <= place < 110 else value for place, value in enumerate(rows[:, 0])]}
    imputed = (await output("impute", torn))["imputed"]
    assert imputed["pressure"][:100] == series["pressure"][:100]
    assert np.abs(np.array(imputed["pressure"][100:110]) - rows[100:110, 0]).max() < 0.4
    assert imputed["flow"] == series["flow"]


@pytest.mark.anyio
async def test_tasks_about_one_window_take_one_window(client: httpx.AsyncClient) -> None:
    window, long = columns_of(readings(40, 3)), columns_of(readings(41, 3))
    answer = await client.post("/encode", json={"model": "pumps", "inputs": [window, window]})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["outputs"]) == 2
    answer = await client.post("/encode", json={"model": "pumps", "inputs": long})
    assert (answer.status_code, "41 steps; this task takes 40" in answer.text) == (422, True)
    answer = await client.post("/sample", json={"model": "pumps", "parameters": {"n": 2, "seed": 1}})
    assert {len(values) for each in answer.json()["outputs"] for values in each["sample"].values()} == {40}
    card = (await client.get("/models/pumps")).json()
    assert (card["item"]["modality"], card["item"]["time"], card["item"]["key"]) == ("table_series", "timestamp", None)
    assert [column["name"] for column in card["item"]["columns"]] == list(NAMES)


@pytest.mark.anyio
async def test_the_file_itself_is_one_series(client: httpx.AsyncClient) -> None:
    content = to_csv(readings(400, 4))
    url, headers = "/detect-anomalies?model=pumps&n_top=1", {"content-type": "text/csv"}
    answer = await client.post(url, content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    assert len(output["rows"]["scores"]) == 400
    assert output["top"][0].keys() == {"index", "column", "contribution"}
    lines = content.splitlines()
    lines[7], lines[8] = lines[8], lines[7]
    answer = await client.post(url, content="\n".join(lines), headers=headers)
    assert (answer.status_code, "must be a step of 0.1 s later" in answer.text) == (422, True)


def test_a_time_is_not_for_tables(folder: Path) -> None:
    arguments = ["--name", "x", "--as", "table", "--time", "timestamp", "--output", str(folder / "own")]
    run = CliRunner().invoke(fit, [str(folder / "readings.csv"), *arguments])
    assert run.exit_code == 1
    assert "--time is for series" in run.output


def test_a_checkpoint_is_calibrated_anew(folder: Path, result: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(folder / "own", tmp_path / "own")
    (tmp_path / "louder.csv").write_text(to_csv(readings(2000, 5) * [1.0, 1.02, 1.0]))
    arguments = ["pumps", str(tmp_path / "louder.csv"), "--checkpoints", str(tmp_path / "own")]
    run = CliRunner().invoke(calibrate, [*arguments, "--false-alarms", "0.005", "--json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert (found["n_scores"], found["threshold_before"]) == (2000, pytest.approx(result["threshold"], rel=1e-5))
    checkpoint = read_checkpoint(tmp_path / "own" / "pumps")
    model = load_model(checkpoint)
    assert isinstance(model, Autoencoder)
    scores = model.calibration.scores[found["score"]]
    assert len(scores) == 2000
    assert 0 < (scores > found["threshold"]).double().mean() < 0.005
    run = CliRunner().invoke(calibrate, [*arguments, "--false-alarms", "0.0001"])
    assert (run.exit_code, "cannot be promised from 2000 held-out scores" in run.output) == (1, True)
    run = CliRunner().invoke(calibrate, ["nothing", *arguments[1:]])
    assert run.exit_code == 1
