"""Few refusals are not delayed; of many, a limited number is answered in each interval, in their order."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.concurrency.refusal_pacing import INTERVAL_S, MAX_REFUSALS, MAX_WAIT_S, RefusalPacing

pytestmark = pytest.mark.anyio


@pytest.fixture
async def intervals(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Any]]:
    """Return the calls that the event loop would make at the end of an interval."""
    calls: list[Callable[[], Any]] = []
    loop = asyncio.get_running_loop()
    call_later = loop.call_later

    def call_at_end(delay_s: float, callback: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        if delay_s != INTERVAL_S:
            return call_later(delay_s, callback, *arguments, **keywords)
        calls.append(callback)
        return None

    monkeypatch.setattr(loop, "call_later", call_at_end)
    return calls


async def refuse(pacing: RefusalPacing, n: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(pacing.wait_for_turn()) for _ in range(n)]
    await turn_of_the_loop()
    return tasks


async def turn_of_the_loop() -> None:
    for _ in range(2):
        await asyncio.sleep(0)


async def pass_interval(intervals: list[Callable[[], Any]]) -> None:
    intervals.pop()()
    await turn_of_the_loop()


def n_done(tasks: list[asyncio.Task[None]]) -> int:
    count = sum(task.done() for task in tasks)
    assert all(task.done() for task in tasks[:count]), "a later refusal went ahead of an earlier one"
    return count


async def test_few_refusals_are_not_delayed(intervals: list[Callable[[], Any]]) -> None:
    pacing = RefusalPacing()
    for _ in range(3):
        assert n_done(await refuse(pacing, MAX_REFUSALS)) == MAX_REFUSALS
        await pass_interval(intervals)


async def test_many_refusals_are_answered_in_their_order_over_several_intervals(
    intervals: list[Callable[[], Any]],
) -> None:
    tasks = await refuse(RefusalPacing(), 3 * MAX_REFUSALS + 1)
    for count in (1, 2, 3):
        assert n_done(tasks) == count * MAX_REFUSALS
        await pass_interval(intervals)
    assert n_done(tasks) == len(tasks)


async def test_intervals_end_once_nothing_is_refused_any_more(intervals: list[Callable[[], Any]]) -> None:
    pacing = RefusalPacing()
    await refuse(pacing, 1)
    await pass_interval(intervals)
    await pass_interval(intervals)
    assert not intervals
    assert n_done(await refuse(pacing, 1)) == 1
    assert len(intervals) == 1


async def test_the_more_refusals_wait_the_more_are_answered(intervals: list[Callable[[], Any]]) -> None:
    n_intervals = round(MAX_WAIT_S / INTERVAL_S)
    n_waiting = 3 * MAX_REFUSALS * n_intervals
    tasks = await refuse(RefusalPacing(), MAX_REFUSALS + n_waiting)
    await pass_interval(intervals)
    assert n_done(tasks) == MAX_REFUSALS + n_waiting // n_intervals


async def test_a_refusal_whose_client_has_left_is_passed_over(intervals: list[Callable[[], Any]]) -> None:
    pacing = RefusalPacing()
    tasks = await refuse(pacing, MAX_REFUSALS + 2)
    tasks[MAX_REFUSALS].cancel()
    await turn_of_the_loop()
    await pass_interval(intervals)
    assert tasks[-1].done()
