"""The soak itself: it passes on the real server, and fails where a server lies."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.server.soak import Report, requests, soak
from tests.app.process.serve import Served, serve


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("soak")) as served:
        yield served


def port_of(server: Served) -> int:
    return int(server.url.rpartition(":")[2])


def test_a_short_one_loses_nothing(server: Served) -> None:
    process, told = psutil.Process(server.process.pid), [0]
    report = asyncio.run(soak(port_of(server), process, 400, 200, told.append))
    assert report.wrong == []
    assert (report.n_requests, report.is_idle, report.is_ready) == (400, True, True)
    assert sum(report.statuses.values()) + report.n_left == 400
    assert {200, 404, 422} <= report.statuses.keys()
    assert report.rss_end > report.rss_warm / 2 > 0
    assert max(told) == 400


def test_the_same_seed_asks_the_same() -> None:
    one, other, third = requests(0), requests(0), requests(1)
    asked = [next(one) for _ in range(50)]
    assert asked == [next(other) for _ in range(50)]
    assert asked != [next(third) for _ in range(50)]


@pytest.mark.parametrize(
    "report",
    [
        Report(is_idle=True, is_ready=True, wrong=["/encode: 500"]),
        Report(is_idle=False, is_ready=True),
        Report(is_idle=True, is_ready=False),
        Report(is_idle=True, is_ready=True, rss_warm=100, rss_end=104),
    ],
)
def test_what_is_wrong_fails_it(report: Report) -> None:
    assert not report.holds
    assert Report(is_idle=True, is_ready=True, rss_warm=100, rss_end=102).holds


def test_a_server_that_answers_otherwise_is_found_out(tmp_path: Path) -> None:
    with serve(tmp_path, "--models", "vanilla-ae-mnist") as lacking:
        report = asyncio.run(soak(port_of(lacking), psutil.Process(lacking.process.pid), 60, 20, lambda n: None))
    assert any(": 503 " in wrong for wrong in report.wrong)
    assert not report.holds
