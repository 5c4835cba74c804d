"""Deadlines, clients that hang up, and clients that do not read."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message

from app.errors import ClientDisconnected, DeadlineExceeded, ManifoldError
from app.http import request_timer
from app.http.request_timer import RequestTimer, client_not_reading

pytestmark = pytest.mark.anyio

SHORT_S = 0.05
GONE: Message = {"type": "http.disconnect"}
PRESENT: Message = {"type": "http.request", "body": b"", "more_body": False}


def late() -> ManifoldError:
    return DeadlineExceeded("too late")


async def run(work: Callable[[RequestTimer], Awaitable[None]], client: Message = GONE) -> None:
    async def receive() -> Message:
        return client

    with RequestTimer(receive) as timer:
        await work(timer)


async def wait_while_watched(timer: RequestTimer) -> None:
    timer.watch_client()
    await asyncio.sleep(60)


@pytest.fixture(autouse=True)
def first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_timer, "FIRST_LOOK_S", 0.0)


async def test_a_deadline_ends_the_work_with_its_error() -> None:
    async def work(timer: RequestTimer) -> None:
        timer.end_at(time.monotonic() + 0.01, late)
        await asyncio.sleep(60)

    with pytest.raises(DeadlineExceeded, match="too late"):
        await run(work)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_client_that_hung_up_ends_the_work() -> None:
    with pytest.raises(ClientDisconnected, match="hung up"):
        await run(wait_while_watched)


async def test_a_client_without_a_body_is_watched_from_the_start() -> None:
    async def receive() -> Message:
        return GONE

    timer = RequestTimer(receive)
    timer.watch_client()
    with pytest.raises(ClientDisconnected, match="hung up"), timer:
        await asyncio.sleep(60)


async def test_a_client_is_not_watched_before_its_body_is_read() -> None:
    await run(lambda timer: asyncio.sleep(3 * SHORT_S))


async def test_a_client_is_not_watched_after_the_work() -> None:
    async def work(timer: RequestTimer) -> None:
        timer.watch_client()

    await run(work)
    await asyncio.sleep(3 * SHORT_S)


@pytest.mark.parametrize("is_watched_already", [False, True])
async def test_a_client_is_not_watched_after_its_answer_is_sent(is_watched_already: bool) -> None:
    leaves, is_watched = asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        is_watched.set()
        await leaves.wait()
        return GONE

    with RequestTimer(receive) as timer:
        timer.watch_client()
        if is_watched_already:
            await is_watched.wait()
        timer.ignore_client()
        leaves.set()
        await asyncio.sleep(SHORT_S)


async def test_a_client_that_stays_is_waited_for_until_the_deadline() -> None:
    async def work(timer: RequestTimer) -> None:
        timer.end_at(time.monotonic() + 3 * SHORT_S, late)
        await wait_while_watched(timer)

    with pytest.raises(DeadlineExceeded):
        await run(work, PRESENT)


async def test_an_answer_that_is_not_read_is_given_up() -> None:
    async def work(timer: RequestTimer) -> None:
        timer.end_at(time.monotonic() + 60, late)
        timer.end_at(time.monotonic() + 0.01, client_not_reading)
        await asyncio.sleep(60)

    with pytest.raises(ClientDisconnected, match="did not read"):
        await run(work)


async def test_the_time_between_two_parts_of_an_answer_is_not_counted() -> None:
    async def work(timer: RequestTimer) -> None:
        for _ in range(2):
            timer.end_at(time.monotonic() + SHORT_S / 2, client_not_reading)
            timer.end_at(math.inf, client_not_reading)
            await asyncio.sleep(2 * SHORT_S)

    await run(work)


async def test_a_cancellation_from_outside_stays_a_cancellation() -> None:
    task = asyncio.create_task(run(wait_while_watched, PRESENT))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_raised_while_being_cancelled_is_kept() -> None:
    async def work(timer: RequestTimer) -> None:
        try:
            await wait_while_watched(timer)
        except asyncio.CancelledError:
            raise ValueError("its own") from None

    with pytest.raises(ValueError, match="its own"):
        await run(work)
