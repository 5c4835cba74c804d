"""What keeps the event loop from its timers is measured, however long it takes."""

import asyncio
import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from app.metrics import event_loop
from app.metrics.event_loop import IDLE_PERIOD_S, LIMITS, PERIOD_S, EventLoopStalls

pytestmark = pytest.mark.anyio

NAME = "manifold_event_loop"


class Stalls:
    """The measured stalls of this event loop; nothing but the measuring runs on it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.measured = EventLoopStalls(self.registry)

    def value(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(f"{NAME}_{name}", labels)
        assert value is not None
        return value

    async def next_measurement(self) -> None:
        before = self.value("stall_seconds_count")
        async with asyncio.timeout(10):
            while self.value("stall_seconds_count") == before:
                await asyncio.sleep(PERIOD_S)


async def test_a_stall_is_counted_with_its_length_less_a_period_at_most() -> None:
    stalls = Stalls()
    stalls.measured.start()
    stalls.measured.begin_request()
    await stalls.next_measurement()
    began_s = time.perf_counter()
    while time.perf_counter() < began_s + 0.2:  # holds the event loop
        pass
    await stalls.next_measurement()
    stalls.measured.stop()
    assert stalls.value("longest_stall_seconds", since="start") >= 0.2 - PERIOD_S
    assert stalls.value("longest_stall_seconds", since="minute") >= 0.2 - PERIOD_S
    above = stalls.value("stall_seconds_count") - stalls.value("stall_seconds_bucket", le="0.1")
    assert above >= 1


async def test_nothing_wakes_an_idle_server_a_hundred_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    stalls, waits = Stalls(), list[float]()
    loop = asyncio.get_running_loop()
    call_later = loop.call_later

    def record(delay: float, *arguments: Any) -> asyncio.TimerHandle:
        waits.append(delay)
        return call_later(delay, *arguments)

    monkeypatch.setattr(loop, "call_later", record)
    stalls.measured.start()
    for _ in range(2):  # two requests at a time
        stalls.measured.begin_request()
    stalls.measured._measure()
    stalls.measured.end_request()
    stalls.measured._measure()
    stalls.measured.end_request()
    stalls.measured._measure()
    stalls.measured.stop()
    assert waits == [IDLE_PERIOD_S, *3 * [PERIOD_S], IDLE_PERIOD_S]


async def test_the_longest_stall_of_a_minute_is_forgotten_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stalls, now_s = Stalls(), 1000.0
    monkeypatch.setattr(time, "perf_counter", lambda: now_s)
    stalls.measured.start()
    stalls.measured.stop()
    longest = []
    for late_s in (0.5, 0.1, 0.2, 0.0):
        now_s += IDLE_PERIOD_S + late_s
        stalls.measured._measure()
        stalls.measured.stop()
        longest.append(stalls.value("longest_stall_seconds", since="minute"))
        now_s += 30.0
        stalls.measured._wait()
        stalls.measured.stop()
    assert longest == pytest.approx([0.5, 0.5, 0.2, 0.2])
    assert stalls.value("longest_stall_seconds", since="start") == pytest.approx(0.5)
    now_s += 60.0
    assert stalls.value("longest_stall_seconds", since="minute") == 0.0


async def test_nothing_is_measured_after_the_end() -> None:
    stalls = Stalls()
    stalls.measured.start()
    stalls.measured.begin_request()
    await stalls.next_measurement()
    stalls.measured.stop()
    before = stalls.value("stall_seconds_count")
    await asyncio.sleep(3 * PERIOD_S)
    assert stalls.value("stall_seconds_count") == before


def test_the_limits_that_matter_are_limits_of_the_histogram() -> None:
    assert {0.015, 0.05} <= {*LIMITS}
    assert LIMITS[-1] == 10.0
    assert event_loop.SLOT_S * event_loop.N_SLOTS == 60.0
