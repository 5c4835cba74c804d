"""Models that are unloaded while nobody uses them, loaded by the next request, and limited in their memory."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
import torch

from app.errors import InvalidRequest, ModelUnavailable
from app.inference.run import infer
from app.registry.registry import Registry
from app.registry.served_model import ServedModel, State
from app.settings import Settings
from models.tasks import ENCODE
from models.tasks.autoencoding import EncodeRequest
from tests.app.items import images
from tests.app.registry.loading import run_registry, worker_threads
from tests.conftest import TINY, served, write_tiny

pytestmark = pytest.mark.anyio

IMAGE = {"inputs": images(1).tolist(), "model": TINY}
IDLE_S = 600


def on_demand(weights: Path, **settings: object) -> Settings:
    return Settings(weights_dir=weights, idle_unload=IDLE_S, **settings)  # type: ignore[arg-type]


def states(registry: Registry) -> dict[str, str]:
    return {name: str(model.state) for name, model in registry.models.items()}


async def test_an_idle_model_is_healthy_and_described_in_the_dialect_of_hugging_face(weights: Path) -> None:
    async with served(on_demand(weights)) as client:
        model: ServedModel = client.app.state.registry.models[TINY]  # type: ignore[attr-defined]
        await model.become_idle()
        assert (await client.get(f"/hf/{TINY}/health")).status_code == 200
        assert model.loaded is None
        assert (await client.get(f"/hf/{TINY}/info")).json()["tasks"] == ["image-to-image"]


async def test_an_idle_model_counts_as_ready_and_is_loaded_by_the_next_requests_together(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_read, read, gate = 0, ServedModel._read, threading.Event()

    def count(model: ServedModel) -> object:
        nonlocal n_read
        n_read += 1
        gate.wait(30)
        return read(model)

    async with served(on_demand(weights)) as client:
        before = (await client.post("/encode", json=IMAGE)).json()
        model: ServedModel = client.app.state.registry.models[TINY]  # type: ignore[attr-defined]
        threads = worker_threads(model)
        await model.become_idle()
        assert threads
        assert not any(thread.is_alive() for thread in threads)
        card = (await client.get(f"/models/{TINY}")).json()
        assert (card["state"], card["memory_bytes"]) == ("idle", None)
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["models"]) == (200, {TINY: "idle"})
        monkeypatch.setattr(ServedModel, "_read", count)
        waiting = [asyncio.create_task(client.post("/encode", json=IMAGE)) for _ in range(5)]
        impatient = await client.post("/encode", json=IMAGE, headers={"x-timeout-ms": "1"})
        assert impatient.status_code == 504
        assert (await client.get("/health/ready")).json() == {"status": "ready", "models": {TINY: "loading"}}
        gate.set()
        for answer in await asyncio.gather(*waiting):
            assert (answer.status_code, answer.json()) == (200, before)
        assert n_read == 1
        assert (await client.get(f"/models/{TINY}")).json()["state"] == "ready"


async def test_the_paths_of_hugging_face_for_an_idle_model_answer(weights: Path) -> None:
    async with served(on_demand(weights)) as client:
        before = (await client.get(f"/hf/{TINY}/info")).json()
        model: ServedModel = client.app.state.registry.models[TINY]  # type: ignore[attr-defined]
        await model.become_idle()
        health = await client.get(f"/hf/{TINY}/health")
        assert (health.status_code, health.json()) == (200, {"status": "ready"})
        assert model.loaded is None
        described = await client.get(f"/hf/{TINY}/info")
        assert (described.status_code, described.json()) == (200, before)


async def test_a_model_that_was_unloaded_by_request_stays_unloaded(weights: Path) -> None:
    async with served(on_demand(weights)) as client:
        await client.app.state.registry.models[TINY].become_idle()  # type: ignore[attr-defined]
        assert (await client.post(f"/models/{TINY}/unload")).json()["state"] == "unloaded"
        refused = await client.post("/encode", json=IMAGE)
        assert (refused.status_code, refused.json()["detail"]) == (
            503,
            f"{TINY} is unloaded; POST /models/{TINY}/load loads it",
        )


async def test_a_model_that_cannot_be_loaded_again_has_failed_and_makes_the_server_unready(weights: Path) -> None:
    async with served(on_demand(weights)) as client:
        await client.app.state.registry.models[TINY].become_idle()  # type: ignore[attr-defined]
        next(weights.rglob("model.safetensors")).unlink()
        refused = await client.post("/encode", json=IMAGE)
        assert refused.status_code == 503
        assert refused.json()["detail"].startswith(f"{TINY} is failed: {TINY}/model.safetensors is missing")
        assert (await client.get("/health/ready")).status_code == 503


async def test_only_a_model_that_nobody_has_used_for_long_enough_is_unloaded(weights: Path) -> None:
    for name in ("old-ae", "used-ae"):
        write_tiny(weights, name)
    registry = Registry(on_demand(weights))
    registry.start_loading()
    await registry.loaded()
    used = await registry.models["used-ae"].acquire()
    for name in ("old-ae", "used-ae"):
        registry.models[name].last_used = time.monotonic() - IDLE_S
    await registry.apply(on_demand(weights))  # which looks for idle models at once
    await registry.loaded()
    while states(registry)["old-ae"] != "idle":
        await asyncio.sleep(0)
    assert states(registry) == {"old-ae": "idle", TINY: "ready", "used-ae": "ready"}
    outcome = await infer(ENCODE, used.engine, [EncodeRequest(item=torch.zeros(1, 4, 4))])
    assert len(outcome.results) == 1
    used.release()
    await registry.close()


async def test_the_least_recently_used_idle_model_makes_room_and_none_in_use_does(weights: Path) -> None:
    for name in ("a-ae", "b-ae"):
        write_tiny(weights, name)
    async with run_registry(on_demand(weights, models=("a-ae", "b-ae"))) as registry:
        size = registry.models["a-ae"].require().memory_bytes
        await registry.apply(on_demand(weights, models=("a-ae", "b-ae"), memory_limit=2 * size))
        await registry.loaded()
        (await registry.models["a-ae"].acquire()).release()
        await registry.load(TINY)
        assert states(registry) == {"a-ae": "ready", "b-ae": "idle", TINY: "ready"}
        in_use = [await registry.models[name].acquire() for name in ("a-ae", TINY)]
        with pytest.raises(ModelUnavailable) as refused:
            await registry.models["b-ae"].acquire()
        assert refused.value.detail == (
            f"b-ae cannot be loaded: it needs {size} bytes of memory; memory_limit is {2 * size}, "
            f"and {2 * size} bytes are used by the models in memory"
        )
        in_use[0].release()
        (await registry.models["b-ae"].acquire()).release()
        assert states(registry) == {"a-ae": "idle", "b-ae": "ready", TINY: "ready"}
        in_use[1].release()


async def test_two_models_that_fit_only_alone_serve_in_turn(weights: Path) -> None:
    write_tiny(weights, "other-ae", seed=1)
    async with served(on_demand(weights)) as client:
        registry: Registry = client.app.state.registry  # type: ignore[attr-defined]
        size = registry.models[TINY].require().memory_bytes
        await registry.apply(on_demand(weights, memory_limit=size + 1))
        await registry.loaded()
        for _ in range(2):
            for name in (TINY, "other-ae"):
                answer = await client.post("/encode", json=IMAGE | {"model": name})
                assert (answer.status_code, answer.headers["x-model"]) == (200, name)
                assert sorted(states(registry).values()) == ["idle", "ready"]


async def test_models_that_do_not_fit_at_start_are_idle_or_have_failed(weights: Path) -> None:
    async with run_registry(Settings(weights_dir=weights)) as registry:
        limit = registry.models[TINY].require().memory_bytes * 3 // 2
    write_tiny(weights, "other-ae")
    async with run_registry(on_demand(weights, memory_limit=limit)) as registry:
        assert sorted(states(registry).values()) == ["idle", "ready"]
        assert registry.ready
    async with run_registry(Settings(weights_dir=weights, memory_limit=limit)) as registry:
        assert sorted(states(registry).values()) == ["failed", "ready"]
        assert not registry.ready
        (failed,) = [name for name, state in states(registry).items() if state == "failed"]
        with pytest.raises(InvalidRequest, match=rf"{failed} cannot be loaded: it needs \d+ bytes of memory; "):
            await registry.load(failed)
    async with run_registry(on_demand(weights, memory_limit=100)) as registry:  # not even one fits
        assert set(states(registry).values()) == {"failed"}
        assert not registry.ready


@pytest.mark.parametrize("limit", [0, 2**30])
async def test_a_model_that_exceeded_the_limit_is_loaded_by_the_next_request_after_the_limit_is_raised(
    weights: Path, limit: int
) -> None:
    async with served(on_demand(weights, memory_limit=100)) as client:
        services = client.app.state  # type: ignore[attr-defined]
        assert (await client.post("/encode", json=IMAGE)).status_code == 503
        await services.apply(on_demand(weights, memory_limit=101))
        assert states(services.registry) == {TINY: "failed"}
        await services.apply(on_demand(weights, memory_limit=limit))
        assert states(services.registry) == {TINY: "idle"}
        assert (await client.post("/encode", json=IMAGE)).status_code == 200


async def test_a_model_larger_than_estimated_is_not_kept(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.registry.model_start.estimate_bytes", lambda *_: 1)
    others = set(threading.enumerate())
    async with run_registry(Settings(weights_dir=weights, memory_limit=100)) as registry:
        assert states(registry) == {TINY: "failed"}
        assert "bytes of memory; memory_limit is 100, and none is in use" in (registry.models[TINY].reason or "")
        started = set(threading.enumerate()) - others
        assert not any(thread.name == f"worker-{TINY}" for thread in started)


async def test_the_limits_are_shown(weights: Path) -> None:
    async with served(Settings(weights_dir=weights, idle_unload="10m", memory_limit="1GiB")) as client:
        limits = (await client.get("/info")).json()["limits"]
        assert (limits["idle_unload"], limits["memory_limit"]) == (600, 2**30)


async def test_a_model_is_loading_on_demand_only_after_it_was_idle(weights: Path) -> None:
    registry = Registry(on_demand(weights))
    assert registry.models[TINY].state is State.LOADING
    assert not registry.models[TINY].loads_on_demand
    with pytest.raises(ModelUnavailable, match="is loading; try again"):
        await registry.models[TINY].acquire()
    await registry.close()
