"""The server that can be hurt from outside, and the faults that can be planted in it."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.server.soak import chaos_server
from benchmarks.server.soak.chaos_server import Clock, PlantedFault, command, kill_worker, listen_for_commands
from benchmarks.server.soak.faults import FAULTS, FaultSchedule, Injection, Site
from benchmarks.server.soak.requests import SoakRequest


def test_a_worker_thread_is_ended_by_an_exception() -> None:
    ended, running = [], threading.Event()

    def work() -> None:
        try:
            while True:
                running.set()
        except SystemExit as error:
            ended.append(error)

    thread = threading.Thread(target=work, name="worker-tiny")
    thread.start()
    assert running.wait(10)
    assert kill_worker("tiny")
    thread.join(10)
    assert len(ended) == 1
    assert not kill_worker("tiny")


def test_commands_come_over_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system_time, clock, path = time.time, Clock(), str(tmp_path / "chaos")
    monkeypatch.setattr(time, "time", system_time)  # restored afterwards
    clock.install()
    listen_for_commands(path, clock)
    assert asyncio.run(command(path, "clock", 3600))
    assert time.time() - system_time() == pytest.approx(3600, abs=5)
    assert not asyncio.run(command(path, "kill", "nobody"))
    assert not asyncio.run(command(path, "nonsense"))


async def ask(app: Any, request_id: bytes = b"soak-1") -> list[dict[str, Any]]:
    """Return what an application sends for a POST whose client leaves after it has sent all."""
    sent = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http", "method": "POST", "headers": [(b"x-request-id", request_id)]}, receive, send)
    return sent


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b'{"score":0.17}'})


@pytest.mark.parametrize(
    ("kind", "n_messages", "body"),
    [("lost", 0, None), ("wrong", 2, b'{"score":0.27}'), ("failing", 2, None), ("stall", 2, b'{"score":0.17}')],
)
def test_one_request_in_so_many_meets_a_planted_fault(
    kind: str, n_messages: int, body: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaos_server, "STALL_S", 0.0)
    app = PlantedFault(application, kind, one_in=2)
    good, bad = asyncio.run(ask(app)), asyncio.run(ask(app))
    assert len(asyncio.run(ask(PlantedFault(application, kind, one_in=1), b"lesson-1"))) == 2
    assert good[1]["body"] == b'{"score":0.17}'
    assert len(bad) == n_messages
    assert body is None or bad[1]["body"] == body


def test_a_leak_keeps_something_of_every_request() -> None:
    app = PlantedFault(application, "leak")
    for n in (1, 2):
        assert asyncio.run(ask(app))[0]["status"] == 200
        assert len(app._leaked) == n


def test_a_fault_excuses_requests_of_its_model_while_it_lasts() -> None:
    schedule = FaultSchedule(Site.__new__(Site), every_s=1.0)
    schedule.injections = [
        Injection("worker killed", FAULTS["worker killed"], 10.0, 20.0, number=1),
        Injection("process stopped", FAULTS["process stopped"], 50.0, 52.0),
    ]
    mine, other = (
        SoakRequest("/encode", b"", model="sentence-mini-en"),
        SoakRequest("/encode", b"", model="bert-mini-en"),
    )
    assert schedule.excuses(mine, 11.0, 12.0, 503)
    assert schedule.excuses(mine, 5.0, 10.5, 500)
    assert not schedule.excuses(mine, 11.0, 12.0, 404)
    assert not schedule.excuses(other, 11.0, 12.0, 503)
    assert not schedule.excuses(mine, 30.0, 31.0, 503)
    assert not schedule.excuses(mine, 50.5, 51.0, 503)
    ((start, end),) = schedule.stopped_spans()
    assert start == 50.0
    assert end > 52.0
