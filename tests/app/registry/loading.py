"""A registry that runs for one test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.registry.registry import Registry
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
