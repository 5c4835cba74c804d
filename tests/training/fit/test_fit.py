"""The whole way: a file of a user's own, `manifold fit`, and the rows of that file sent to the server."""

import csv
import json
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from scipy.stats import binom

from app.settings import Settings
from models.autoencoding.calibration import CONFIDENCE, percentile_for
from tests.conftest import served, write_tiny
from training.fit.command import fit

N = 1500
SITES = ("east", "west", "north")


def transaction(rng: random.Random, number: int, *, strange: bool = False) -> dict[str, Any]:
    """A row in which the amount follows from the site and the quantity, unless it is strange."""
    site, quantity = rng.choice(SITES), rng.randint(1, 9)
    price = {"east": 5.0, "west": 9.0, "north": 14.0}[site]
    amount = price * quantity * rng.uniform(0.97, 1.03) * (3.0 if strange else 1.0)
    return {
        "number": number,
        "at": f"2026-{1 + number % 2:02}-{1 + number % 28:02} {rng.randint(8, 17):02}:{rng.randint(0, 59):02}",
        "site": site,
        "quantity": quantity,
        "amount": round(amount, 2),
        "paid": rng.random() < 0.9,
        "discount": round(rng.uniform(0, 0.1), 3) if rng.random() < 0.7 else None,
        "fraud": int(strange),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(0)
    rows = [transaction(rng, number, strange=number % 50 == 49) for number in range(N)]
    root = tmp_path_factory.mktemp("fit")
    with (root / "sales.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return root


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, Any]:
    arguments = [folder / "sales.csv", "--name", "sales", "--label", "fraud", "--output", folder / "own"]
    run = CliRunner().invoke(fit, [*map(str, arguments), "--minutes", "0.8", "--contamination", "none", "--json"])
    assert run.exit_code == 0, run.output
    found: dict[str, Any] = json.loads(run.stdout)
    return found


@pytest.fixture
async def client(folder: Path, result: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    write_tiny(folder / "weights")
    async with served(Settings(weights_dir=folder / "weights", checkpoints_dir=folder / "own")) as client:
        yield client


def test_anomalies_are_found_and_told_beside_other_detectors(folder: Path, result: dict[str, Any]) -> None:
    assert result["rows"] == {"training": 1323, "validation": 147, "calibration": 1470, "anomalies": 30, "suspects": 0}
    assert result["figures"]["this model"]["auroc"] > 0.95
    assert len(result["figures"]) == 4
    assert result["found_share"] > 0.7
    assert result["left_out"]["number"] == "it counts the rows"
    card = (folder / "own" / "sales" / "README.md").read_text()
    assert "| `site` | category | 3 values and others |" in card
    assert (folder / "own" / "sales" / "charts.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.anyio
async def test_rows_are_served_in_their_own_columns(client: httpx.AsyncClient) -> None:
    rng = random.Random(1)
    good = [transaction(rng, n) for n in range(200)]
    bad = [transaction(rng, n, strange=True) for n in range(20)]
    answer = await client.post("/detect-anomalies", json={"model": "sales", "inputs": good + bad})
    assert answer.status_code == 200, answer.text
    outputs = answer.json()["outputs"]
    assert sum(output["is_anomaly"] for output in outputs[:200]) <= 12
    assert sum(output["is_anomaly"] for output in outputs[200:]) >= 14
    assert outputs[0]["contributions"].keys() == {"at", "site", "quantity", "amount", "paid", "discount"}
    assert sum(outputs[0]["contributions"].values()) == pytest.approx(outputs[0]["score"], rel=1e-4)
    found = [output["top"][0]["column"] for output in outputs[200:] if output["is_anomaly"]]
    assert found.count("amount") + found.count("quantity") + found.count("site") > 0.7 * len(found)
    card = (await client.get("/models/sales")).json()
    assert card["item"]["columns"][1] == {
        "name": "site",
        "kind": "category",
        "has_gaps": False,
        "values": ["east", "north", "west"],
    }


@pytest.mark.anyio
async def test_rows_that_move_away_are_noticed(client: httpx.AsyncClient) -> None:
    rng = random.Random(5)

    async def send(rows: list[dict[str, Any]]) -> dict[str, Any]:
        for start in range(0, len(rows), 100):
            body = {"model": "sales", "inputs": rows[start : start + 100]}
            assert (await client.post("/detect-anomalies", json=body)).status_code == 200
        card: dict[str, Any] = (await client.get("/models/sales")).json()
        return card

    assert (await client.get("/models/sales")).json()["drift"] is None
    drift = (await send([transaction(rng, n) for n in range(1000)]))["drift"]
    assert drift["n_items"] == 1000
    assert drift["low_p_share"] < 0.03
    assert drift["stability_index"].keys() == {"at", "site", "quantity", "amount", "paid", "discount"}
    assert max(drift["stability_index"].values()) < 0.1
    moved = [{**transaction(rng, n), "site": "moon", "discount": 0.5} for n in range(1000)]
    drift = (await send(moved))["drift"]
    assert drift["low_p_share"] > 0.5
    assert {name for name, index in drift["stability_index"].items() if index > 0.25} == {"site", "discount"}
    metrics = (await client.get("/metrics")).text
    assert 'manifold_drift_stability_index{column="quantity",model="sales"}' in metrics
    assert 'manifold_drift_low_p_share{model="sales"}' in metrics


@pytest.mark.anyio
async def test_every_task_answers_with_rows(client: httpx.AsyncClient) -> None:
    row = transaction(random.Random(2), 3)

    async def outputs(task: str, inputs: Any, **parameters: Any) -> Any:
        body = {"model": "sales", "parameters": parameters, **({} if inputs is None else {"inputs": inputs})}
        answer = await client.post(f"/{task}", json=body)
        assert answer.status_code == 200, (task, answer.text)
        return answer.json()["outputs"]

    (reconstructed,) = await outputs("reconstruct", row)
    assert reconstructed["reconstruction"]["site"] == row["site"]
    assert isinstance(reconstructed["reconstruction"]["quantity"], int)
    (imputed,) = await outputs("impute", {**row, "amount": None})
    assert {name: imputed["imputed"][name] for name in ("site", "quantity", "paid")} == {
        name: row[name] for name in ("site", "quantity", "paid")
    }
    assert imputed["imputed"]["amount"] == pytest.approx(row["amount"], rel=0.5)
    samples = await outputs("sample", None, n=3, seed=1)
    assert all(each["sample"]["site"] in (*SITES, "(other)") for each in samples)
    (latent,) = await outputs("encode", row)
    (decoded,) = await outputs("decode", latent["latent"])
    assert decoded["reconstruction"]["site"] == row["site"]
    assert len((await outputs("interpolate", [row, {**row, "site": "east"}], steps=4))[0]["frames"]) == 4
    (stream,) = await outputs("compress", row, bits=8)
    (decompressed,) = await outputs("decompress", [stream["stream"]])
    assert decompressed["items"][0].keys() == reconstructed["reconstruction"].keys()
    assert len(await outputs("project", [row, {**row, "quantity": 1}])) == 2
    assert (await outputs("denoise", row))[0]["denoised"].keys() == reconstructed["reconstruction"].keys()


@pytest.mark.anyio
async def test_bad_rows_are_refused_by_column_and_row(client: httpx.AsyncClient) -> None:
    row = transaction(random.Random(2), 3)
    answer = await client.post("/detect-anomalies", json={"model": "sales", "inputs": [row, {**row, "amount": "x"}]})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/inputs/1"
    assert "'amount'" in error["detail"]
    answer = await client.post(
        "/reconstruct", json={"model": "sales", "inputs": row}, headers={"accept": "application/x-npy"}
    )
    assert answer.status_code == 422
    answer = await client.post("/encode", json={"model": "sales", "inputs": [{**row, "site": "moon"}]})
    assert "'site'" in answer.json()["warnings"][0]["detail"]


@pytest.mark.anyio
async def test_the_file_itself_is_answered(client: httpx.AsyncClient, folder: Path) -> None:
    lines = (folder / "sales.csv").read_text().splitlines()[:201]
    url, headers = "/detect-anomalies?model=sales&n_top=1", {"content-type": "text/csv"}
    answer = await client.post(url, content="\n".join(lines), headers=headers)
    assert answer.status_code == 200, answer.text
    outputs = answer.json()["outputs"]
    assert len(outputs) == 200
    assert {len(output["top"]) for output in outputs} == {1}
    assert outputs[49]["score"] > outputs[48]["score"]
    broken = [*lines[:3], lines[3].replace("east", "east,more").replace("west", "west,more").replace("north", "n,m")]
    answer = await client.post(url, content="\n".join(broken), headers=headers)
    assert answer.status_code == 400
    assert "line 4 of the CSV: 9 cells; the first line has 8 names" in answer.text


@pytest.mark.anyio
async def test_a_running_server_takes_a_new_checkpoint(folder: Path, result: dict[str, Any], tmp_path: Path) -> None:
    write_tiny(folder / "weights")
    async with served(Settings(weights_dir=folder / "weights", checkpoints_dir=tmp_path / "later")) as client:
        assert (await client.post("/models/sales/load")).status_code == 404
        (tmp_path / "later").symlink_to(folder / "own")
        answer = await client.post("/models/sales/load")
        assert (answer.status_code, answer.json()["state"]) == (200, "ready")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "sales"], "sales exists; give --replace"),
        (["--name", "../x"], "--name is '../x'"),
        (["--name", "other", "--false-alarms", "0.0005"], "cannot be promised from 14"),
        (["--name", "other", "--columns", "nothing"], "there is no column 'nothing'"),
    ],
)
def test_what_cannot_be_done_is_said(folder: Path, result: dict[str, Any], arguments: list[str], words: str) -> None:
    run = CliRunner().invoke(fit, [str(folder / "sales.csv"), "--output", str(folder / "own"), *arguments])
    assert run.exit_code == 1
    assert words in run.output.replace("\n", " ")
    assert not (folder / "own" / "other").exists()


def test_a_dry_run_tells_what_the_file_holds_and_writes_nothing(folder: Path, tmp_path: Path) -> None:
    arguments = [folder / "sales.csv", "--name", "sales", "--label", "fraud", "--output", tmp_path / "own", "--dry-run"]
    run = CliRunner().invoke(fit, [*map(str, arguments), "--json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert {name: found[name] for name in ("kind", "rows", "window", "time", "key")} == {
        "kind": "table",
        "rows": N,
        "window": None,
        "time": None,
        "key": None,
    }
    assert [column["name"] for column in found["columns"]] == ["at", "site", "quantity", "amount", "paid", "discount"]
    assert found["left_out"].keys() == {"number", "fraud"}
    assert not (tmp_path / "own").exists()


def test_the_progress_is_told_in_lines_of_json(folder: Path, tmp_path: Path) -> None:
    arguments = [folder / "sales.csv", "--name", "sales", "--label", "fraud", "--output", tmp_path, "--minutes", "0.05"]
    run = CliRunner().invoke(fit, [*map(str, arguments), "--json-lines"])
    assert run.exit_code == 0, run.output
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.stderr == ""
    stages = [line["progress"]["stage"] for line in lines if "progress" in line]
    assert list(dict.fromkeys(stages)) == ["looking for anomalies", "training"]
    assert all(0 <= line["progress"]["done"] <= 1 for line in lines if "progress" in line)
    (found,) = [line["found"] for line in lines if "found" in line]
    assert (found["kind"], found["rows"]) == ("table", N)
    assert lines[-1].keys() == {"result"}
    assert lines[-1]["result"]["folder"] == str(tmp_path / "sales")
    run = CliRunner().invoke(fit, [*map(str, arguments), "--json-lines", "--json"])
    assert run.exit_code == 2


def test_a_missing_package_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "training.fit.pipeline", None)
    run = CliRunner().invoke(fit, [str(folder / "sales.csv"), "--name", "other"])
    assert run.exit_code == 1
    assert "this needs the package training.fit.pipeline; pip install" in run.output


@pytest.mark.parametrize(("rate", "n"), [(0.01, 100), (0.01, 999), (0.05, 60), (0.1, 1000), (0.5, 7), (0.001, 100_000)])
def test_the_promise_is_kept_with_confidence_where_there_are_enough_scores(rate: float, n: int) -> None:
    index = percentile_for(rate, n) / 100 * (n - 1)
    assert index == pytest.approx(round(index), abs=1e-6)
    n_above = n - 1 - round(index)  # held-out scores above the threshold
    assert binom.sf(n_above, n, rate) >= CONFIDENCE or n_above == 0
    assert binom.sf(n_above + 1, n, rate) < CONFIDENCE


@pytest.mark.parametrize("n_left_out", [0, 1, 3, 50])
def test_what_is_left_out_counts_as_above_the_threshold_up_to_half(n_left_out: int) -> None:
    def n_above(n: int, left_out: int) -> int:
        return n - 1 - round(percentile_for(0.01, n, left_out) / 100 * (n - 1))

    allowed = n_above(1000, 0)
    assert n_above(1000 - n_left_out, n_left_out) == max(allowed - n_left_out, allowed // 2)
