"""An engine on a scripted model."""

from collections.abc import AsyncIterator

import pytest

from app.engine.engine import Engine
from tests.app.engine.scripted import ScriptedModel, start


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
