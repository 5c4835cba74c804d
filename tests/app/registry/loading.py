"""A registry that runs for one test."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.registry.registry import Registry
from app.registry.served_model import ServedModel
from app.settings import Settings


@asynccontextmanager
async def run_registry(settings: Settings) -> AsyncIterator[Registry]:
    """A registry whose wanted models are loaded, and which is closed afterwards."""
    registry = Registry(settings)
    registry.start_loading()
    await registry.loaded()
    try:
        yield registry
    finally:
        await registry.close()


def worker_threads(model: ServedModel) -> list[threading.Thread]:
    """The threads that compute for a model which is in memory."""
    return [supervisor._worker.thread for supervisor in model.require().engine.workers]
