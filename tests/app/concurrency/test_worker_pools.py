"""Work on other threads returns, fails or is given up as if it had run on the event loop."""

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable

import pytest

from app.concurrency.request_memory import REQUEST_MEMORY, RequestMemory
from app.concurrency.worker_pools import MAX_SHORT_BYTES, MAX_SHORT_MEMORY, WorkerPools
from models.cancellation import stop_if_abandoned

pytestmark = pytest.mark.anyio
N_THREADS = 3


@pytest.fixture
async def pools() -> AsyncIterator[WorkerPools]:
    before = set(threading.enumerate())
    pools = WorkerPools(N_THREADS, N_THREADS)
    pools.start()
    yield pools
    pools.close()
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("offload-"):
            await asyncio.to_thread(thread.join, 5)
            assert not thread.is_alive()


async def test_each_caller_gets_its_own_result(pools: WorkerPools) -> None:
    def numbered(number: int) -> Callable[[], tuple[int, int]]:
        return lambda: (number, threading.get_ident())

    found = await asyncio.gather(*(pools.run(numbered(number)) for number in range(500)))
    assert [number for number, _ in found] == list(range(500))
    assert threading.get_ident() not in {thread for _, thread in found}


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), StopIteration("over")])
async def test_an_error_is_raised_to_its_caller_alone(pools: WorkerPools, error: BaseException) -> None:
    def fail() -> None:
        raise error

    for _ in range(2 * N_THREADS):
        with pytest.raises(RuntimeError if isinstance(error, StopIteration) else type(error)):
            await pools.run(fail)
    assert await pools.run(lambda: 7) == 7


async def test_work_whose_caller_was_cancelled_is_not_begun(pools: WorkerPools) -> None:
    hold, begun = threading.Event(), threading.Event()
    held = [asyncio.create_task(pools.run(lambda: hold.wait(10))) for _ in range(N_THREADS)]
    given_up = asyncio.create_task(pools.run(begun.set))
    await asyncio.sleep(0.02)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    hold.set()
    assert await asyncio.gather(*held) == [True] * N_THREADS
    assert await pools.run(lambda: 1) == 1
    assert not begun.is_set()


async def test_work_that_has_begun_ends_between_its_parts_once_its_caller_has_left(pools: WorkerPools) -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        try:
            begun.set()
            while True:
                stop_if_abandoned()
        finally:
            ended.set()

    leaving = asyncio.create_task(pools.run(work))
    async with asyncio.timeout(5):
        while not begun.is_set():
            await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await asyncio.to_thread(ended.wait, 5)
    assert await asyncio.gather(*(pools.run(stop_if_abandoned) for _ in range(2 * N_THREADS))) == [None] * 2 * N_THREADS


async def test_a_cancelled_caller_does_not_disturb_the_others(pools: WorkerPools) -> None:
    hold = threading.Event()
    leaving = asyncio.create_task(pools.run(lambda: hold.wait(10)))
    staying = asyncio.create_task(pools.run(lambda: hold.wait(10)))
    await asyncio.sleep(0.02)
    leaving.cancel()
    hold.set()
    assert await staying
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_short_work_does_not_wait_behind_long_work(pools: WorkerPools) -> None:
    hold = threading.Event()
    long = [asyncio.create_task(pools.run(hold.wait, 10, n_bytes=MAX_SHORT_BYTES + 1)) for _ in range(2 * N_THREADS)]
    await asyncio.sleep(0.02)
    async with asyncio.timeout(5):
        assert await pools.run(pow, 2, 5) == 32
    hold.set()
    assert all(await asyncio.gather(*long))


async def test_work_for_a_request_that_holds_much_memory_is_long(pools: WorkerPools) -> None:
    hold = threading.Event()
    share = RequestMemory(lambda: 2**30).open_share()
    share.claim(MAX_SHORT_MEMORY + 1)
    token = REQUEST_MEMORY.set(share)
    try:
        long = [asyncio.create_task(pools.run(hold.wait, 10)) for _ in range(N_THREADS)]
        await asyncio.sleep(0.02)
        share.give_back(1)
        async with asyncio.timeout(5):
            assert await pools.run(pow, 2, 5) == 32
    finally:
        REQUEST_MEMORY.reset(token)
        hold.set()
    assert all(await asyncio.gather(*long))


async def test_nothing_is_kept_alive(pools: WorkerPools) -> None:
    class Body:
        def refuse(self) -> None:
            raise ValueError("no")

        def take(self) -> "Body":
            return self

    async def call(body: Body) -> None:
        assert await pools.run(body.take) is body
        with contextlib.suppress(ValueError):  # pytest keeps what was raised
            await pools.run(body.refuse)

    gc.disable()
    try:
        body = Body()
        left = weakref.ref(body)
        await call(body)
        del body
        async with asyncio.timeout(5):
            while left() is not None:  # until the thread waits again
                await asyncio.sleep(0.001)
    finally:
        gc.enable()
