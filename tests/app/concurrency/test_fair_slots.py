"""Slots that clients share: who goes first, and what becomes of those that leave."""

import asyncio

import pytest

from app.concurrency import fair_slots
from app.concurrency.fair_slots import FairSlots
from app.errors import QueueFull

pytestmark = pytest.mark.anyio


async def order_of(slots: FairSlots, works: list[tuple[str, int]], holder: str = "holder") -> list[str]:
    """The names of clients in the order in which they get the only slot, after the holder has given it back."""
    found: list[str] = []

    async def work(client: str, amount: int) -> None:
        await slots.acquire(client, amount)
        found.append(client)
        slots.release(client)

    await slots.acquire(holder, 1)
    tasks = [asyncio.create_task(work(*each)) for each in works]
    await asyncio.sleep(0)
    slots.release(holder)
    await asyncio.gather(*tasks)
    return found


async def test_a_client_that_asks_for_much_waits_for_itself() -> None:
    found = await order_of(FairSlots(1), [("many", 5), ("many", 5), ("many", 5), ("few", 1)])
    assert found == ["many", "few", "many", "many"]


async def test_the_work_of_a_client_counts_and_not_its_number() -> None:
    found = await order_of(FairSlots(1), [("large", 10), ("large", 10), ("small", 3), ("small", 3), ("small", 3)])
    assert found == ["large", "small", "small", "small", "large"]


async def test_one_client_never_has_all_slots() -> None:
    slots = FairSlots(3)
    waiting = [asyncio.create_task(slots.acquire("many", 1)) for _ in range(3)]
    await asyncio.sleep(0)
    assert [task.done() for task in waiting] == [True, True, False]
    await slots.acquire("other", 1)
    slots.release("many")
    await waiting[2]


async def test_who_leaves_takes_no_slot() -> None:
    slots = FairSlots(1)
    await slots.acquire("a", 1)
    leaving, staying = (asyncio.create_task(slots.acquire(client, 1)) for client in "bc")
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    slots.release("a")
    await staying
    slots.release("c")
    await slots.acquire("d", 1)


async def test_who_leaves_while_a_slot_is_given_gives_it_back() -> None:
    slots = FairSlots(1)
    await slots.acquire("a", 1)
    leaving = asyncio.create_task(slots.acquire("b", 1))
    await asyncio.sleep(0)
    slots.release("a")
    leaving.cancel()
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    await slots.acquire("c", 1)


async def test_too_much_that_waits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_slots, "MAX_WAITING", 2)
    slots = FairSlots(1)
    await slots.acquire("a", 1)
    waiting = [asyncio.create_task(slots.acquire("a", 3_000_000)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match="2 files of this client wait") as error:
        await slots.acquire("a", 1)
    assert error.value.retry_after_s == 6
    other = asyncio.create_task(slots.acquire("b", 1))
    await asyncio.sleep(0)
    for task in (*waiting, other):
        task.cancel()
    await asyncio.wait([*waiting, other])
