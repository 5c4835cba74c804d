"""Deadlines, clients that hang up, and clients that do not read."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from app.concurrency.timers import TICK_S, CoarseTimers
from app.errors import ClientDisconnected
from app.http.deadline import CancelOnDisconnect, SendTimeout
from app.inference.deadline import Deadline

pytestmark = pytest.mark.anyio

GONE: Message = {"type": "http.disconnect"}
PRESENT: Message = {"type": "http.request", "body": b"", "more_body": False}


def connection(client: Message = GONE) -> CancelOnDisconnect:
    async def receive() -> Message:
        return client

    return CancelOnDisconnect(Request({"type": "http", "headers": []}, receive), CoarseTimers())


async def wait_while_watched(connection: CancelOnDisconnect) -> None:
    with connection as client:
        client.watch()
        await asyncio.sleep(60)


async def test_a_client_that_hung_up_cancels_the_work() -> None:
    with pytest.raises(ClientDisconnected):
        await wait_while_watched(connection())
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_client_is_not_watched_before_its_body_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CancelOnDisconnect, "FIRST_LOOK_S", 0.0)
    with connection():
        await asyncio.sleep(3 * TICK_S)


async def test_a_client_is_not_watched_after_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CancelOnDisconnect, "FIRST_LOOK_S", 0.0)
    with connection() as client:
        client.watch()
    await asyncio.sleep(3 * TICK_S)


async def test_a_client_that_stays_is_waited_for_until_the_deadline() -> None:
    deadline = Deadline.after(int(CancelOnDisconnect.FIRST_LOOK_S * 2000))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout_at(deadline.at_s):
            await wait_while_watched(connection(PRESENT))


async def test_a_cancellation_from_outside_stays_a_cancellation() -> None:
    entered = asyncio.Event()

    async def work() -> None:
        with connection(PRESENT) as client:
            client.watch()
            entered.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_raised_while_being_cancelled_is_kept() -> None:
    async def fail_once_cancelled() -> None:
        with connection() as client:
            client.watch()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise ValueError("its own") from None

    with pytest.raises(ValueError, match="its own"):
        await fail_once_cancelled()


App = Callable[[Scope, Receive, Send], Awaitable[None]]


def with_timeout(app: App, limit_s: float) -> Callable[[Send], Awaitable[None]]:
    services = SimpleNamespace(settings=SimpleNamespace(keep_alive_s=limit_s), timers=CoarseTimers())

    async def call(send: Send) -> None:
        async def receive() -> Message:
            return PRESENT

        scope = {"type": "http", "app": SimpleNamespace(state=services)}
        await SendTimeout(app)(scope, receive, send)

    return call


async def test_an_answer_that_is_not_read_is_given_up() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start"})
        await send({"type": "http.response.body"})

    async def send_to_slow_reader(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    with pytest.raises(ClientDisconnected, match="did not read its answer"):
        await with_timeout(app, 0.02)(send_to_slow_reader)


async def test_the_time_between_two_parts_of_an_answer_is_not_counted() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(3):
            await send({"type": "http.response.body"})
            await asyncio.sleep(2 * TICK_S)

    async def send_at_once(message: Message) -> None:
        pass

    await with_timeout(app, 0.02)(send_at_once)
