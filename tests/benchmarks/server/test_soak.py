"""The soak: it passes on a real server, and fails on a server that misbehaves."""

import asyncio
import json
from collections.abc import Iterator
from itertools import islice

import httpx
import psutil
import pytest
from click.testing import CliRunner

from benchmarks.lib.servers import Server, start_manifold
from benchmarks.server.soak import Soak, SoakResult, soak
from benchmarks.server.soak_requests import SoakRequest, examples_of, mixed_requests

EXAMPLES = [SoakRequest.with_json("/encode", {"inputs": ["x"]})]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_manifold() as running:
        yield running


def run(server: Server, n_requests: int, n_warm: int) -> tuple[SoakResult, list[int]]:
    numbers: list[int] = []
    soak_run = Soak(server.port, psutil.Process(server.process_id), n_requests=n_requests, n_warm=n_warm)
    return asyncio.run(soak_run.run(numbers.append)), numbers


def test_a_short_soak_loses_nothing(server: Server) -> None:
    result, numbers = run(server, n_requests=400, n_warm=200)
    assert result.failures == []
    assert (result.n_requests, result.is_idle, result.is_ready) == (400, True, True)
    assert sum(result.answers_by_status.values()) + result.n_abandoned == 400
    assert {200, 404, 422} <= result.answers_by_status.keys()
    assert result.final_rss > result.warm_rss / 2 > 0
    assert numbers == list(range(1, 401))


def test_every_documented_example_is_sent(server: Server) -> None:
    openapi = httpx.get(f"{server.url}/openapi.json").json()
    paths = {request.path for request in examples_of(openapi)}
    assert {"/encode", "/reconstruct", "/generate", "/detect-anomalies"} <= paths
    assert len(examples_of(openapi)) > len(paths) > 15


def test_the_same_seed_gives_the_same_requests() -> None:
    first, second, other = (list(islice(mixed_requests(EXAMPLES, seed), 50)) for seed in (0, 0, 1))
    assert first == second
    assert first != other


@pytest.mark.parametrize(
    "result",
    [
        SoakResult(is_idle=True, is_ready=True, failures=["/encode: 500"]),
        SoakResult(is_idle=False, is_ready=True),
        SoakResult(is_idle=True, is_ready=False),
        SoakResult(is_idle=True, is_ready=True, warm_rss=100, final_rss=104),
    ],
)
def test_a_failure_a_leftover_or_growth_fails_the_soak(result: SoakResult) -> None:
    assert not result.passes
    assert SoakResult(is_idle=True, is_ready=True, warm_rss=100, final_rss=102).passes


def test_unexpected_answers_are_reported() -> None:
    with start_manifold("--models", "vanilla-ae-mnist") as lacking:
        result, _ = run(lacking, n_requests=60, n_warm=20)
    assert any(": 503 " in failure for failure in result.failures)
    assert not result.passes


def test_the_command_prints_the_results_and_fails_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = start_manifold("--models", "vanilla-ae-mnist")
    monkeypatch.setattr("benchmarks.server.soak.start_manifold", lambda: lacking)
    command = CliRunner().invoke(soak, ["--requests", "40", "--warm", "20", "--json"])
    assert command.exit_code == 1, command.output
    results = json.loads(command.stdout)
    assert results["requests"] == 40
    assert results["is_idle"]
    assert results["failures"]
