"""Loading and unloading within a time limit, whatever holds them up."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.engine import worker
from app.engine.execution import Execution, execute
from app.registry import model_start, served_model
from app.registry.registry import Registry
from app.registry.served_model import ServedModel, State
from app.settings import Settings
from tests.app.items import images
from tests.conftest import TINY, served, write_tiny

pytestmark = pytest.mark.anyio

IMAGE = {"inputs": images(1).tolist()}


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a test lets threads wait for; they go on at the end of the test at the latest."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def stuck_reading(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A disk that hangs for the tiny model until the gate is opened."""
    read = ServedModel._read
    monkeypatch.setattr(ServedModel, "_read", lambda model: (model.name == TINY and gate.wait(60), read(model))[1])
    return gate


def hold_forward_passes(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let forward passes wait for the gate from now on, and return the event of the first that waits."""
    begun = threading.Event()

    def wait(*arguments: Any) -> Execution:
        begun.set()
        gate.wait(60)
        return execute(*arguments)

    monkeypatch.setattr(worker, "execute", wait)
    monkeypatch.setattr(served_model, "ABANDONED_S", 0.05)
    return begun


async def test_a_loading_that_is_late_is_ended_and_can_be_repeated(
    weights: Path, stuck_reading: threading.Event
) -> None:
    registry = Registry(Settings(weights_dir=weights, workers=1))
    model = registry.get(TINY)
    with pytest.raises(TimeoutError):
        await registry.load(TINY, 0.01)
    assert (model.state, model.reason) == (State.FAILED, served_model.LOADING_ENDED)
    with pytest.raises(TimeoutError):
        await registry.load(TINY, 0.01)  # the first one's thread still reads
    stuck_reading.set()
    await registry.load(TINY, 60)
    assert model.state is State.READY
    await registry.close()


async def test_a_loading_that_hangs_keeps_other_models_from_loading_only_for_a_while(
    weights: Path, stuck_reading: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_start, "MAX_LOADING", 1)
    monkeypatch.setattr(model_start, "MAX_TURN_S", 0.01)
    write_tiny(weights, "zz-other-ae")
    registry = Registry(Settings(weights_dir=weights, workers=1))
    registry.start_loading()
    other = registry.get("zz-other-ae")
    while other.state is not State.READY:
        await asyncio.sleep(0.001)
    assert registry.get(TINY).state is State.LOADING
    await asyncio.wait_for(registry.close(), 30)  # which the hanging one does not hold up either
    assert {model.state for model in registry.models.values()} == {State.UNLOADED}


async def test_unloading_ends_a_loading_that_hangs(weights: Path, stuck_reading: threading.Event) -> None:
    registry = Registry(Settings(weights_dir=weights, workers=1))
    registry.start_loading()
    while registry.get(TINY)._starting is None:
        await asyncio.sleep(0)
    await registry.unload(TINY, 0.01)
    assert registry.get(TINY).state is State.UNLOADED
    await registry.close()


async def test_requests_that_an_unloading_does_not_wait_for_fail_with_503(
    weights: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(Settings(weights_dir=weights, workers=1)) as client:
        begun = hold_forward_passes(gate, monkeypatch)
        running = asyncio.create_task(client.post("/reconstruct", json=IMAGE))
        waiting = asyncio.create_task(client.post("/encode", json=IMAGE))
        await asyncio.to_thread(begun.wait, 30)
        answer = await client.post(f"/models/{TINY}/unload", headers={"x-timeout-ms": "20"})
        assert answer.json()["state"] == "unloaded"
        for failed in (await running, await waiting):
            assert failed.status_code == 503
            assert failed.json()["type"] == "/errors/model-unavailable"
            assert "time to finish is over" in failed.json()["detail"]
        gate.set()
        assert (await client.post(f"/models/{TINY}/load")).json()["state"] == "ready"
        assert (await client.post("/reconstruct", json=IMAGE)).status_code == 200


async def test_an_unloading_whose_client_leaves_is_finished_all_the_same(
    weights: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(Settings(weights_dir=weights, workers=1)) as client:
        begun = hold_forward_passes(gate, monkeypatch)
        running = asyncio.create_task(client.post("/reconstruct", json=IMAGE))
        await asyncio.to_thread(begun.wait, 30)
        registry = client.app.state.registry  # type: ignore[attr-defined]
        leaving = asyncio.create_task(registry.unload(TINY, 0.02))
        while registry.get(TINY).state is not State.UNLOADING:
            await asyncio.sleep(0)
        leaving.cancel()
        assert (await running).status_code == 503
        while registry.get(TINY).state is not State.UNLOADED:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("timeout", ["0", "1.5", "x", "600001", "9" * 5000])
async def test_a_malformed_deadline_changes_nothing(own_client: httpx.AsyncClient, timeout: str) -> None:
    for change in ("load", "unload"):
        answer = await own_client.post(f"/models/{TINY}/{change}", headers={"x-timeout-ms": timeout})
        assert (answer.status_code, answer.json()["type"]) == (422, "/errors/invalid-request")
    assert (await own_client.get(f"/models/{TINY}")).json()["state"] == "ready"
