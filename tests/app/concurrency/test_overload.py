"""The event loop pauses once after a turn in which it refused, and never for longer than it refused."""

import asyncio
import time

import pytest

from app.concurrency.overload import MAX_PAUSE_S, OverloadPauses

pytestmark = pytest.mark.anyio


@pytest.fixture
def pauses_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr("app.concurrency.overload.time.sleep", found.append)
    return found


async def test_several_refusals_of_a_turn_make_one_pause(pauses_s: list[float]) -> None:
    pauses = OverloadPauses()
    for _ in range(3):
        pauses.pause_after_turn()
    assert pauses_s == []
    await asyncio.sleep(0)
    assert len(pauses_s) == 1
    pauses.pause_after_turn()
    await asyncio.sleep(0)
    assert len(pauses_s) == 2


async def test_a_pause_is_as_long_as_the_refusals_took_but_limited(
    pauses_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses, now_s = OverloadPauses(), time.monotonic()
    for took_s in (MAX_PAUSE_S / 4, 4 * MAX_PAUSE_S):
        monkeypatch.setattr("app.concurrency.overload.time.monotonic", lambda: now_s)
        pauses.pause_after_turn()
        monkeypatch.setattr("app.concurrency.overload.time.monotonic", lambda took_s=took_s: now_s + took_s)
        await asyncio.sleep(0)
    assert pauses_s == [pytest.approx(MAX_PAUSE_S / 4), MAX_PAUSE_S]
