"""Coarse timers fire once, not too early, and unless they were cancelled; timeouts end what takes too long."""

import asyncio
import math
import time

import pytest

from app.concurrency.timers import TICK_S, CoarseTimer, CoarseTimers, Timeout

pytestmark = pytest.mark.anyio


def now_s() -> float:
    return time.monotonic()


async def test_a_timer_fires_once_and_not_too_early() -> None:
    timers, fired = CoarseTimers(), list[float]()
    at_s = now_s() + TICK_S / 2
    timers.call_at(at_s, lambda: fired.append(now_s()))
    await asyncio.sleep(4 * TICK_S)
    assert len(fired) == 1
    assert fired[0] >= at_s
    assert not timers.pending


async def test_a_cancelled_timer_does_not_fire() -> None:
    timers, fired = CoarseTimers(), list[int]()
    timers.call_at(now_s(), lambda: fired.append(1)).cancel()
    others = list[CoarseTimer]()

    def cancel_others() -> None:
        fired.append(0)
        for timer in others:
            timer.cancel()

    others += [timers.call_at(now_s(), cancel_others) for _ in range(5)]
    await asyncio.sleep(3 * TICK_S)
    assert fired == [0]


async def test_the_loop_is_woken_only_while_timers_are_pending() -> None:
    timers, fired = CoarseTimers(), list[int]()
    timers.call_at(math.inf, lambda: None).cancel()
    await asyncio.sleep(2 * TICK_S)
    assert not timers._is_ticking
    timers.call_at(now_s(), lambda: fired.append(1))
    assert timers._is_ticking
    await asyncio.sleep(2 * TICK_S)
    assert fired == [1]


async def wait_within(timers: CoarseTimers, at_s: float) -> None:
    with Timeout(timers, at_s):
        await asyncio.sleep(60)


async def test_a_timeout_ends_what_takes_too_long() -> None:
    with pytest.raises(TimeoutError):
        await wait_within(CoarseTimers(), now_s() + 0.01)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_nested_timeouts_that_expire_together_are_one_timeout() -> None:
    timers, at_s = CoarseTimers(), now_s() + 0.01

    async def wait_within_both() -> None:
        with Timeout(timers, at_s):
            await wait_within(timers, at_s)

    with pytest.raises(TimeoutError):
        await wait_within_both()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_ends_in_time_is_left_alone() -> None:
    timers = CoarseTimers()
    with Timeout(timers, now_s() + TICK_S):
        await asyncio.sleep(0)
    await asyncio.sleep(3 * TICK_S)
    assert not timers.pending


async def test_a_cancellation_from_outside_is_no_timeout() -> None:
    task = asyncio.create_task(wait_within(CoarseTimers(), math.inf))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
