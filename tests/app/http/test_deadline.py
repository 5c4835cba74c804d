"""Until when a request is worked on."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from starlette.requests import Request
from starlette.types import Message

from app.errors import ClientDisconnected
from app.http.content import Patience

pytestmark = pytest.mark.anyio

LATER_S = 3 * Patience.QUIET_S
GONE: Message = {"type": "http.disconnect"}
THERE: Message = {"type": "http.request", "body": b"", "more_body": False}


async def within(limit_s: float, work: Callable[[Patience], Awaitable[None]], client: Message = GONE) -> None:
    async def receive() -> Message:
        return client

    async with Patience(Request({"type": "http", "headers": []}, receive), limit_s) as patience:
        await work(patience)


async def wait(patience: Patience) -> None:
    await asyncio.sleep(60)


async def wait_watched(patience: Patience) -> None:
    patience.watch()
    await asyncio.sleep(60)


async def test_a_deadline_ends_what_waits() -> None:
    started_at = time.monotonic()
    with pytest.raises(TimeoutError):
        await within(0.03, wait)
    assert 0.03 <= time.monotonic() - started_at < 10


async def test_a_deadline_may_be_renewed() -> None:
    async def go_on(patience: Patience) -> None:
        for _ in range(3):
            await asyncio.sleep(LATER_S)
            patience.renew()

    await within(2 * LATER_S, go_on)

    async def renew_and_wait(patience: Patience) -> None:
        patience.renew()
        await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await within(0.05, renew_and_wait)


async def test_a_client_that_is_gone_is_noticed_only_while_it_is_watched() -> None:
    async def work(patience: Patience) -> None:
        await asyncio.sleep(LATER_S)
        patience.watch()
        patience.unwatch()
        await asyncio.sleep(LATER_S)

    await within(60, work)

    async def stop_watching(patience: Patience) -> None:
        patience.watch()
        await asyncio.sleep(LATER_S)
        patience.unwatch()
        await asyncio.sleep(LATER_S)

    await within(60, stop_watching, THERE)

    async def read_and_wait(patience: Patience) -> None:
        await asyncio.sleep(LATER_S)
        await wait_watched(patience)

    with pytest.raises(ClientDisconnected):
        await within(60, read_and_wait)


async def test_a_client_that_stays_is_waited_for_until_the_deadline() -> None:
    with pytest.raises(TimeoutError):
        await within(LATER_S, wait_watched, THERE)


async def test_who_cancels_from_outside_is_obeyed() -> None:
    task = asyncio.create_task(within(60, wait))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_what_waits_is_its_own() -> None:
    async def fail_once_cancelled(patience: Patience) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError("its own") from None

    with pytest.raises(ValueError, match="its own"):
        await within(0.02, fail_once_cancelled)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
