"""Comparisons of two source trees, which are small servers here that say how fast they are."""

import json
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from typing_extensions import override

from benchmarks.lib.servers import Server, start_manifold
from benchmarks.server.compare import command
from benchmarks.server.compare.pairs import Pair, Plan, Side, compare, estimate
from benchmarks.server.compare.workloads import WORKLOADS, Workload

SERVER = """
import http.server, json, os, sys
from pathlib import Path

from app import SPEED

def main():
    options = sys.argv[1:]
    state = {"speed": SPEED * float(os.environ.get("FACTOR", "1")), "options": options, "cwd": os.getcwd()}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet
        def do_GET(self):
            body = json.dumps(state).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()
        def log_message(self, *_):
            pass

    port = int(options[options.index("--port") + 1])
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Speed(Workload):
    """The speed that a server claims, and the order in which servers were asked."""

    unit = "speed"
    serve_options = ("--models", "tiny")

    def __init__(self) -> None:
        self.measured: list[float] = []
        self.warmed_up: list[float] = []

    @override
    def measure(self, server: Server, seconds: float) -> float:
        state = httpx.get(server.url).json()
        assert state["options"][:5] == ["serve", "--log-level", "warning", "--models", "tiny"]
        assert Path(state["cwd"]).joinpath("app", "cli.py").exists()
        self.measured.append(state["speed"])
        return float(state["speed"])

    @override
    def warm_up(self, server: Server) -> None:
        self.warmed_up.append(httpx.get(server.url).json()["speed"])


def write_tree(folder: Path, speed: float) -> Path:
    package = folder / "app"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"SPEED = {speed}\n")
    (package / "cli.py").write_text(SERVER)
    return folder


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("trees")
    return write_tree(root / "old", 100.0), write_tree(root / "new", 150.0)


def plan(**changes: float) -> Plan:
    values = {"burst_s": 0.1, "until_width": 0.04, "max_pairs": 60, "pairs_per_start": 0, **changes}
    return Plan(
        burst_s=values["burst_s"],
        until_width=values["until_width"],
        max_pairs=int(values["max_pairs"]),
        pairs_per_start=int(values["pairs_per_start"]),
    )


def test_each_tree_runs_its_own_code_and_sides_take_turns_at_going_first(trees: tuple[Path, Path]) -> None:
    workload = Speed()
    starts = compare(workload, Side(trees[0]), Side(trees[1]), plan())
    assert workload.warmed_up == [100, 150]
    assert workload.measured == [100, 150, 150, 100, 100, 150, 150, 100, 100, 150]
    assert starts == [[Pair(100, 150)] * 5]
    found = estimate(starts, plan())
    assert found.ratio.ratio == pytest.approx(1.5)
    assert found.is_narrow


def test_servers_are_started_anew_until_the_interval_is_narrow(trees: tuple[Path, Path]) -> None:
    workload, seen = Speed(), list[int]()
    starts = compare(
        workload,
        Side(trees[0]),
        Side(trees[1]),
        plan(pairs_per_start=2),
        lambda so_far: seen.append(sum(map(len, so_far))),
    )
    assert list(map(len, starts)) == [2, 2, 2, 2, 2]
    assert workload.warmed_up == [100, 150] * 5
    assert seen == list(range(1, 11))


def test_the_number_of_pairs_is_limited(trees: tuple[Path, Path]) -> None:
    limited = plan(pairs_per_start=2, max_pairs=3)
    starts = compare(Speed(), Side(trees[0]), Side(trees[1]), limited)
    assert list(map(len, starts)) == [2, 1]
    assert not estimate(starts, limited).is_narrow


def test_one_tree_is_compared_under_two_environments(trees: tuple[Path, Path]) -> None:
    starts = compare(Speed(), Side(trees[0], {"FACTOR": "2"}), Side(trees[0], {"FACTOR": "3"}), plan(max_pairs=1))
    assert starts == [[Pair(200, 300)]]


def test_a_disturbed_burst_does_not_move_the_ratio() -> None:
    disturbed = [Pair(100, 110), Pair(100, 10), Pair(100, 110)]
    found = estimate([disturbed, *[[Pair(100, 110)] * 3] * 4], plan(pairs_per_start=3))
    assert found.ratio.ratio == pytest.approx(1.1)
    assert found.is_narrow


def test_starts_that_differ_widen_the_interval() -> None:
    starts = [[Pair(100, ratio * 100)] * 20 for ratio in (0.9, 0.95, 1.0, 1.05, 1.1)]
    restarted = estimate(starts, plan(pairs_per_start=20))
    assert restarted.n_samples == 5
    assert restarted.ratio.high - restarted.ratio.low > 0.1
    assert not restarted.is_narrow
    started_once = estimate([[pair for start in starts for pair in start]], plan())
    assert started_once.n_samples == 100
    assert started_once.ratio.high - started_once.ratio.low < 0.05


def test_the_command_prints_json_that_names_trees_and_intervals(
    trees: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WORKLOADS, "json", lambda folder, n_connections: Speed())
    options = ["--benchmark", "json", "--env-b", "FACTOR=2", "--pairs-per-start", "0"]
    result = CliRunner().invoke(command.compare_command, [*map(str, trees), *options, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["old"] == {"tree": str(trees[0]), "commit": "", "environment": {}}
    assert report["new"]["environment"] == {"FACTOR": "2"}
    (entry,) = report["comparisons"]
    assert (entry["benchmark"], entry["unit"], entry["n_pairs"], entry["n_starts"]) == ("json", "speed", 5, 1)
    assert (entry["old_median"], entry["new_median"], entry["is_narrow"]) == (100, 300, True)
    assert entry["ratio"] == pytest.approx(3)
    assert entry["pairs"] == [{"old": 100, "new": 300}] * 5


def test_the_command_prints_a_table(trees: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORKLOADS, "npy", lambda folder, n_connections: Speed())
    result = CliRunner().invoke(command.compare_command, [*map(str, trees), "--benchmark", "npy", "--max-pairs", "1"])
    assert result.exit_code == 0, result.output
    assert str(trees[0]) in result.stdout
    assert "1.500" in result.stdout
    assert "unknown" in result.stdout  # one pair has no interval


@pytest.mark.parametrize("name", ["json", "npy", "encode", "costs"])
def test_workloads_measure_any_server(name: str, trees: tuple[Path, Path], tmp_path: Path) -> None:
    workload = WORKLOADS[name](tmp_path, 2)
    assert "--models" in workload.serve_options
    with start_manifold(tree=trees[0]) as server:
        assert workload.measure(server, 0.3) > 0


def test_bad_arguments_are_named(tmp_path: Path, trees: tuple[Path, Path]) -> None:
    no_tree = CliRunner().invoke(command.compare_command, [str(tmp_path)])
    assert no_tree.exit_code == 2
    assert "has no folder app" in no_tree.output
    no_pair = CliRunner().invoke(command.compare_command, [str(trees[0]), str(trees[1]), "--env-a", "FACTOR"])
    assert no_pair.exit_code == 2
    assert "'FACTOR' is not of the form KEY=VALUE" in no_pair.output
