"""An engine on a scripted model."""

from collections.abc import AsyncIterator

import pytest

from app.engine.engine import Engine
from tests.app.engine.scripted import Clock, ScriptedModel, start


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the time as the engine reads it."""
    clock = Clock()
    for module in ("engine", "queue", "sharing", "supervisor", "worker"):
        monkeypatch.setattr(f"app.engine.{module}.time", clock)
    return clock


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
async def engine(model: ScriptedModel) -> AsyncIterator[Engine]:
    engine = await start(model, max_queue_items=8, max_items=8)
    yield engine
    model.gate.set()
    model.released.set()
    await engine.stop()
