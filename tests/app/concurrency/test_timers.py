"""Coarse timers fire once, not too early, and unless they were discarded; timeouts end what takes too long."""

import asyncio
import math
import time
from collections.abc import Callable

import pytest

from app.concurrency.timers import TICK_S, CoarseTimer, CoarseTimers, Timeout

pytestmark = pytest.mark.anyio


class Callback(CoarseTimer):
    def __init__(self, at_s: float, callback: Callable[[], object]) -> None:
        super().__init__(at_s)
        self.callback = callback

    def fire(self) -> None:
        self.callback()


async def test_a_timer_fires_once_and_not_too_early() -> None:
    timers, fired = CoarseTimers(), list[float]()
    at_s = time.monotonic() + TICK_S / 2
    timers.add(Callback(at_s, lambda: fired.append(time.monotonic())))
    await asyncio.sleep(4 * TICK_S)
    assert len(fired) == 1
    assert fired[0] >= at_s


async def test_a_discarded_timer_does_not_fire() -> None:
    timers, fired = CoarseTimers(), list[int]()
    discarded = Callback(time.monotonic(), lambda: fired.append(1))
    timers.add(discarded)
    timers.discard(discarded)
    others = list[CoarseTimer]()

    def discard_others() -> None:
        fired.append(0)
        for timer in others:
            timers.discard(timer)

    others += [Callback(time.monotonic(), discard_others) for _ in range(5)]
    for timer in others:
        timers.add(timer)
    await asyncio.sleep(3 * TICK_S)
    assert fired == [0]


async def test_a_timer_may_be_set_again_when_it_fires() -> None:
    timers, fired = CoarseTimers(), list[int]()

    def once_more() -> None:
        fired.append(1)
        if len(fired) == 1:
            timer.at_s = time.monotonic()

    timer = Callback(time.monotonic(), once_more)
    timers.add(timer)
    await asyncio.sleep(4 * TICK_S)
    assert fired == [1, 1]


async def test_the_loop_is_woken_only_while_timers_are_pending() -> None:
    timers, fired = CoarseTimers(), list[int]()
    timer = Callback(math.inf, lambda: fired.append(0))
    timers.add(timer)
    timers.discard(timer)
    await asyncio.sleep(2 * TICK_S)
    assert not timers._is_ticking
    timers.add(Callback(time.monotonic(), lambda: fired.append(1)))
    await asyncio.sleep(2 * TICK_S)
    assert fired == [1]


async def wait_within(timers: CoarseTimers, at_s: float) -> None:
    with Timeout(timers, at_s):
        await asyncio.sleep(60)


async def test_a_timeout_ends_what_takes_too_long() -> None:
    with pytest.raises(TimeoutError):
        await wait_within(CoarseTimers(), time.monotonic() + 0.01)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_nested_timeouts_that_expire_together_are_one_timeout() -> None:
    timers, at_s = CoarseTimers(), time.monotonic() + 0.01

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
    with Timeout(timers, time.monotonic() + TICK_S):
        await asyncio.sleep(0)
    await asyncio.sleep(3 * TICK_S)


async def test_a_cancellation_from_outside_is_no_timeout() -> None:
    task = asyncio.create_task(wait_within(CoarseTimers(), math.inf))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
