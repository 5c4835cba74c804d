"""Calls on threads of their own leave nothing behind."""

import asyncio
import contextlib
import gc
import weakref

import pytest

from app.registry.background import call_in_background

pytestmark = pytest.mark.anyio


class Weights:
    """What a failed call had in memory."""


async def test_what_a_failed_call_had_in_memory_is_freed_without_garbage_collection() -> None:
    left: list[weakref.ref[Weights]] = []

    def read() -> None:
        weights = Weights()
        left.append(weakref.ref(weights))
        raise ValueError("no")

    gc.disable()
    try:
        with contextlib.suppress(ValueError):  # pytest keeps what was raised
            await call_in_background(read)
        async with asyncio.timeout(5):
            while left[0]() is not None:  # until the thread has ended
                await asyncio.sleep(0.001)
    finally:
        gc.enable()
