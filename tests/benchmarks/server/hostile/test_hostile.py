"""The benchmark of hostile clients: its verdicts hold for a good server, and fail for bad ones."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.lib.memory import MemoryGroup
from benchmarks.lib.servers import Server, start_server
from benchmarks.server.hostile.case import Case, CaseResult
from benchmarks.server.hostile.command import hostile
from benchmarks.server.hostile.target import Target, run_case
from benchmarks.server.http_client import http_request
from benchmarks.server.probe import ProbeResult, Sample

SCRIPT = """
import argparse, http.server, time
parser = argparse.ArgumentParser(); parser.add_argument('--port', type=int)
kept = []
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.rfile.read(int(self.headers.get('content-length', 0)))
        status = 200
        if self.path == '/slow': time.sleep(0.3)
        if self.path == '/broken': status = 500; print('unexpected error', flush=True)
        if self.path == '/large': kept.append(b'x' * 100_000_000)
        self.send_response(status); self.send_header('content-length', '0'); self.end_headers()
    do_POST = do_GET
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(('127.0.0.1', parser.parse_args().port), Handler).serve_forever()
"""


def serving(script: Path) -> Any:
    """Return a function in place of `start_manifold` that starts a script."""

    @contextmanager
    def start(*_: str, **options: Any) -> Iterator[Server]:
        with start_server(str(script), **options) as server:
            yield server

    return start


@pytest.fixture
def small_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let cases attack a server that misbehaves on request, and give memory no time to settle."""
    script = tmp_path / "server.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr("benchmarks.server.hostile.target.start_manifold", serving(script))
    monkeypatch.setattr("benchmarks.server.hostile.target.SETTLE_S", 0.3)
    monkeypatch.setattr("benchmarks.server.hostile.target.AFTER_S", 0.2)


def attacked(*paths: str, **options: Any) -> CaseResult:
    def attack(target: Target) -> None:
        with target.watch():
            for path in paths:
                target.ask(http_request(path, method="GET"))

    return run_case(Case(name="x", attack=attack, **options), MemoryGroup())


@pytest.mark.usefixtures("small_server")
def test_what_clients_caused_is_found() -> None:
    good, broken, large = attacked("/", "/slow"), attacked("/broken"), attacked("/large")
    assert good.verdicts["not killed"]
    assert good.verdicts["memory given back"]
    assert good.verdicts["no unexpected 5xx"]
    assert good.statuses == {200: 2}
    assert not broken.verdicts["no unexpected 5xx"]
    assert "unexpected error" in broken.failures[0]
    assert not large.verdicts["memory given back"]
    assert large.bytes_after - large.bytes_before > 90_000_000


@pytest.mark.usefixtures("small_server")
def test_a_server_that_dies_or_does_not_start_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(target: Target) -> None:
        target.process.kill()
        target.wait(5)

    assert not run_case(Case(name="x", attack=kill), MemoryGroup()).verdicts["not killed"]
    monkeypatch.setattr("benchmarks.server.hostile.target.start_manifold", serving(Path("/nothing")))
    assert "did not become ready" in run_case(Case(name="x", attack=kill), MemoryGroup()).failures[0]


def probe(*latencies: float, status: int = 200) -> ProbeResult:
    return ProbeResult([Sample(0.0, ms, status) for ms in latencies])


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"is_killed": True}, "not killed"),
        ({"probes": {"live": probe(1, 101)}}, "live within 100 ms"),
        ({"probes": {"live": probe(1, status=503)}}, "live within 100 ms"),
        ({"probes": {"neighbour": probe(1, 150, 150)}}, "neighbour's p99 under 100 ms"),
        ({"probes": {"neighbour": probe(1, status=0)}}, "neighbour always answered"),
        ({"stall_ms": 50.1}, "loop held for 50 ms at most"),
        ({"bytes_before": 100, "bytes_after": 111}, "memory given back"),
        ({"unexpected_statuses": Counter([500])}, "no unexpected 5xx"),
        ({"failures": ["x"]}, "behaves"),
    ],
)
def test_each_demand_fails_alone(found: dict[str, Any], verdict: str) -> None:
    result = CaseResult(name="x", **found)
    assert [name for name, holds in result.verdicts.items() if not holds] == [verdict]
    assert not result.passes
    assert result.summary()["failed"] == [verdict]


def test_what_meets_the_demands_passes() -> None:
    probes = {"live": probe(100), "neighbour": probe(99)}
    assert CaseResult(name="x", probes=probes, bytes_before=100, bytes_after=109, stall_ms=49.0).passes


def test_the_command_attacks_a_real_server_and_prints_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.server.hostile.target.SETTLE_S", 1.0)
    result = CliRunner().invoke(hostile, ["--case", "pipeline-in-order", "--json"])
    found = json.loads(result.stdout)
    case = found["cases"]["pipeline-in-order"]
    assert result.exit_code == (0 if found["passes"] else 1)
    assert found["memory_limit"]
    assert case["failures"] == []
    assert case["statuses"]["200"] >= 1
    assert case["rss_before_mb"] > 50
    assert case["live_max_ms"] > 0


@pytest.mark.usefixtures("small_server")
def test_the_command_prints_a_table_and_fails_with_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.server.hostile.cases.CONTROL_S", 0.1)
    monkeypatch.setattr("benchmarks.server.hostile.case.MAX_NEIGHBOUR_P99_MS", 0.0)
    result = CliRunner().invoke(hostile, ["--case", "control"])
    assert result.exit_code == 1
    assert "neighbour's p99 under 100 ms" in next(line for line in result.stdout.splitlines() if "| control" in line)


def test_an_unknown_case_is_an_error_that_lists_the_cases() -> None:
    result = CliRunner().invoke(hostile, ["--case", "nothing"])
    assert result.exit_code == 2
    assert "there is no case 'nothing'; the cases are control," in result.output
