"""The soak: it finds nothing at a good server, and what is planted in a bad one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.main import create_app
from app.settings import Settings
from benchmarks.lib.report import progress
from benchmarks.server.soak.command import run_soak, soak
from benchmarks.server.soak.faults import FAULTS, Injection
from benchmarks.server.soak.ledger import LOST, Ledger
from benchmarks.server.soak.report import report_of, write_report
from benchmarks.server.soak.requests import BAD_REQUESTS, examples_of, pool_of, task_requests
from benchmarks.server.soak.run import Reading, SoakResult, SoakSettings
from benchmarks.server.soak.verdicts import verdicts_of

MODELS = "vanilla-ae-mnist,sentence-mini-en"
SETTINGS = SoakSettings(n_requests=100, n_warm=50)


def test_a_short_soak_with_faults_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.server.soak.faults.STOPPED_S", 0.1)
    monkeypatch.setattr(
        "benchmarks.server.soak.faults.FAULTS", {name: FAULTS[name] for name in ("process stopped", "clock moved")}
    )
    options = {"requests": 600, "warm": 100, "readings": 1, "fault-every": 0.2, "attack-every": 0, "models": MODELS}
    arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = CliRunner().invoke(soak, [*arguments, "--json"])
    found = json.loads(command.stdout)
    assert command.exit_code == (0 if found["passes"] else 1)
    assert (found["requests"], found["unsettled"], found["failures"]) == (600, 0, {}), found["examples"]
    assert found["right"] + found["abandoned"] + found["refused"] + found["excused"] == 600
    assert found["right"] > 500
    assert {name: each["failed"] for name, each in found["faults"].items()} == {"process stopped": 0, "clock moved": 0}
    assert [reading["unfinished"] for reading in found["readings"]] == [0, 0]
    assert found["readings"][0]["requests"] >= 100
    for name in ("the server lives and is ready", "nothing lost", "every answer right", "nothing unfinished at rest"):
        assert found["verdicts"][name]["holds"]


def test_a_planted_fault_is_found() -> None:
    settings = replace(
        SETTINGS,
        n_requests=400,
        n_warm=100,
        n_readings=1,
        rest_s=0.1,
        fault_every_s=0.0,
        attack_every_s=0.0,
        models=MODELS,
        planted="wrong:20",
    )
    with progress("") as bar:
        result = run_soak(settings, bar, bar.add_task(""))
    failed = [verdict.name for verdict in verdicts_of(result) if not verdict.holds]
    assert "every answer right" in failed
    assert "nothing lost" not in failed


def test_the_pool_covers_tasks_dialects_examples_and_bad_requests() -> None:
    openapi = create_app(Settings()).openapi()
    card = {"id": "t", "tasks": ["encode", "classify"], "family": "x", "item": {"modality": "text", "shape": [9]}}
    first, second, other = (list(task_requests(card, seed)) for seed in (0, 0, 1))
    assert [each.body for each in first] == [each.body for each in second] != [each.body for each in other]
    names = {request.name for request in first}
    assert {"/encode", "/classify", "/v1/embeddings", "/tei/t/embed", "/hf/t/pipeline/feature-extraction"} <= names
    assert {"/encode", "/generate", "/v1/embeddings", "/api/generate"} <= {each.name for each in examples_of(openapi)}
    pool = pool_of(openapi, [card])
    assert set(BAD_REQUESTS) <= set(pool)
    assert len(pool) > len(pool_of(openapi, [card], examples=False)) > len(first)


def test_a_request_is_sent_with_an_id_of_its_own() -> None:
    head, _, body = BAD_REQUESTS[0].with_id("r-7").partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nx-request-id: r-7")
    assert f"content-length: {len(body)}".encode() in head


def result_with(**values: object) -> SoakResult:
    result = SoakResult(SETTINGS, Ledger(n_sent=10, n_right=10), is_ready=True)
    result.readings = [Reading(50, 1000, 0), Reading(100, 1020, 0)]
    result.stalls = [(1.0, 20.0)]
    for name, value in values.items():
        setattr(result, name, value)
    return result


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"is_alive": False}, "the server lives and is ready"),
        ({"ledger": Ledger(n_sent=11, n_right=10)}, "nothing lost"),
        ({"attacks": [("png-rgba", 0.0, 1.0, {"500": 1, "503": 1})]}, "no 5xx of a client's making"),
        ({"readings": [Reading(50, 1000, 0), Reading(100, 1031, 0)]}, "memory grows under 3%"),
        ({"readings": [Reading(50, 1000, 2), Reading(100, 1000, 0)]}, "nothing unfinished at rest"),
        ({"stalls": [(1.0, 60.0)]}, "the loop is held for 50 ms at most"),
        ({"stalls": []}, "the loop is held for 50 ms at most"),
        ({"n_log_errors": 1}, "no unforeseen error in the log"),
        (
            {"injections": [Injection("SIGHUP", FAULTS["SIGHUP"], 0.0, 1.0, note="x", failed=True)]},
            "every fault had its effect, and passed",
        ),
    ],
)
def test_each_demand_fails_alone(values: dict[str, object], verdict: str) -> None:
    latencies = {"GET /health/live within 100 ms", "the neighbour's p99 under 100 ms"}  # without probes, these fail
    failed = {each.name for each in verdicts_of(result_with(**values)) if not each.holds}
    assert failed - latencies == {verdict}


def test_stalls_of_a_stopped_process_do_not_count() -> None:
    result = result_with(stalls=[(1.0, 20.0), (11.0, 2000.0)], stopped_spans=[(9.0, 12.0)])
    assert next(each for each in verdicts_of(result) if "loop" in each.name).holds


def test_the_report_is_written_with_a_picture(tmp_path: Path) -> None:
    result = result_with(samples=[(0.0, 0, 1000), (1.0, 50, 1000)], ended_at=60.0)
    result.ledger.fail(LOST, "/encode: no answer")
    report = report_of(result, verdicts_of(result), has_picture=True)
    write_report(report, result, tmp_path)
    text = (tmp_path / "soak.md").read_text()
    assert text.startswith("# The soak")
    assert "![Requests, latencies, memory and faults over time](soak.png)" in text
    assert "- lost: `/encode: no answer`" in text
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
