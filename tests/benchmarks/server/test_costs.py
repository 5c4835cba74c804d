"""The benchmark of what serving costs, with the shipped models and real servers."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.server import costs as module
from benchmarks.server.costs import CONNECTIONS, Costs, Reading, costs, costs_between
from benchmarks.server.metered_server import ForwardPasses, ForwardPassMeter, read_meter


@pytest.mark.usefixtures("tiny_shapes")
def test_costs_are_those_of_a_server_and_of_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_S", 0.0)
    result = CliRunner().invoke(costs, ["--starts", "1", "--rounds", "1", "--seconds", "0.2", "--json"])
    assert result.exit_code == 0, result.output
    results = json.loads(result.stdout)
    assert results["n_models"] == 23
    assert results["ready_seconds"] > 0
    assert isinstance(results["memory_over_weights"], float)  # of a tiny model, it is mostly the noise of the server's
    assert [entry["connections"] for entry in results["costs"]] == list(CONNECTIONS)
    for entry in results["costs"]:
        assert 1 <= entry["texts_per_pass"] <= entry["connections"]
        assert 0 < entry["event_loop_ms"] < entry["total_ms"]
        assert 0 < entry["model_ms"] < entry["total_ms"]
        assert abs(entry["model_ms"] + entry["serving_ms"] - entry["total_ms"]) < 0.002
        assert entry["serving_ms_min"] <= entry["serving_ms"] <= entry["serving_ms_max"]


def test_the_meter_counts_forward_passes_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.5, 20.0, 21.0])
    monkeypatch.setattr("benchmarks.server.metered_server.time.thread_time", lambda: next(clock))
    meter = ForwardPassMeter(tmp_path / "meter")
    meter.batch_started("m", "encode", 3, 30)
    meter.batch_finished("m", "encode", 3, 30, 0.6)
    assert read_meter(tmp_path / "meter") == ForwardPasses(n=1, n_items=3, seconds=0.5)
    meter.batch_started("m", "encode", 4, 40)
    meter.batch_finished("m", "encode", 4, 40, 1.1)
    assert read_meter(tmp_path / "meter") == ForwardPasses(n=2, n_items=7, seconds=1.5)


def test_costs_are_shared_by_the_requests_between_two_readings() -> None:
    earlier = Reading(total_s=1.0, event_loop_s=0.5, n_passes=2, n_items=10, model_s=0.25)
    later = Reading(total_s=3.0, event_loop_s=1.0, n_passes=7, n_items=20, model_s=1.25)
    assert costs_between(earlier, later) == Costs(
        total_ms=200, event_loop_ms=50, model_ms=100, serving_ms=100, texts_per_pass=2
    )
