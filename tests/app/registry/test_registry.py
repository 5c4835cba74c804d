"""Loading, failing, unloading and finding models, through the service."""

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from app.engine.observer import EngineObserver
from app.errors import UnknownModel
from app.registry.registry import Registry
from app.registry.served_model import ServedModel, State
from app.settings import Settings
from models.autoencoding.tasks import AUTOENCODER_TASKS
from models.errors import CheckpointError
from models.tasks import ENCODE
from models.tasks.autoencoding import EncodeRequest
from tests.app.cli.test_check import promise
from tests.app.engine.scripted import until
from tests.app.items import images
from tests.app.texts import write_text
from tests.conftest import TINY, served, write_tiny

pytestmark = pytest.mark.anyio

IMAGE = {"inputs": images(1).tolist()}


async def status_of(client: httpx.AsyncClient, name: str) -> str:
    state: str = (await client.get(f"/models/{name}")).json()["state"]
    return state


async def test_a_damaged_checkpoint_fails_alone_and_makes_the_server_unready(weights: Path) -> None:
    broken = write_tiny(weights, "broken-ae")
    file = broken.folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    async with served(Settings(weights_dir=weights)) as client:
        assert (await client.post("/encode", json=IMAGE | {"model": TINY})).status_code == 200
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["models"]) == (503, {"broken-ae": "failed", TINY: "ready"})
        card = (await client.get("/models/broken-ae")).json()
        assert "broken-ae/model.safetensors has the SHA-256" in card["reason"]
        assert str(weights) not in card["reason"]
        refused = await client.post("/encode", json=IMAGE | {"model": "broken-ae"})
        assert refused.status_code == 503
        assert refused.json()["detail"].startswith(f"broken-ae is failed: {card['reason']}; once that is mended, POST ")
        assert int(refused.headers["retry-after"]) >= 1
        assert (await client.post("/models/broken-ae/load")).status_code == 422
        assert (await client.post("/models/broken-ae/unload")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200


@pytest.mark.parametrize(
    ("change", "is_edited", "state"), [(0.0, False, "ready"), (0.5, False, "failed"), (0.5, True, "ready")]
)
async def test_a_model_whose_answers_differ_from_its_expected_ones_fails_unless_its_files_were_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: float, is_edited: bool, state: str
) -> None:
    folder = write_text(tmp_path, "transformers/bert", 4, name="mine")
    promise(folder, change)
    if is_edited:
        (folder / "added_tokens.json").write_text("{}")
    async with served(Settings(weights_dir=tmp_path)) as client:
        card = (await client.get("/models/mine")).json()
    said = "the answers of mine differ from the 12 numbers of its expected.json, by at most 0.5, where 0.001 is allowed"
    assert card["state"] == state
    assert card["reason"] == (said if state == "failed" else None)
    if state == "ready":
        assert card["self_check"]["agrees"] == (change == 0)
        assert card["self_check"]["changed_files"] == (["added_tokens.json"] if change else [])
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ([f"{said}; since it was written, added_tokens.json changed"] if is_edited else [])


async def test_an_unexpected_error_while_loading_is_logged_and_the_other_models_serve(
    weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_tiny(weights, "a-first-ae")
    read = ServedModel._read

    def fail(model: ServedModel) -> Any:
        if model.name == "a-first-ae":
            raise RuntimeError("the device is on fire")
        return read(model)

    monkeypatch.setattr(ServedModel, "_read", fail)
    async with served(Settings(weights_dir=weights)) as client:
        card = (await client.get("/models/a-first-ae")).json()
        assert (card["state"], card["reason"]) == ("failed", "an unexpected RuntimeError; see the log")
        assert any("on fire" in str(record.exc_info) for record in caplog.records)
        assert (await client.post("/encode", json=IMAGE | {"model": TINY})).status_code == 200
        by_default = await client.post("/encode", json=IMAGE)  # the first by name, and no other in its place
        assert by_default.status_code == 503
        assert by_default.json()["detail"].startswith("a-first-ae is failed: an unexpected RuntimeError; see the log;")


async def test_a_model_that_cannot_be_loaded_later_leaves_the_server_ready(weights: Path) -> None:
    file = write_tiny(weights, "broken-ae").folder / "model.safetensors"
    file.write_bytes(b"")
    async with served(Settings(weights_dir=weights, models=(TINY,))) as client:
        assert (await client.post("/models/broken-ae/load")).status_code == 422
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_repaired_checkpoint_can_be_loaded_without_a_restart(weights: Path) -> None:
    broken = write_tiny(weights, "broken-ae")
    file = broken.folder / "model.safetensors"
    whole = file.read_bytes()
    file.unlink()
    async with served(Settings(weights_dir=weights)) as client:
        assert await status_of(client, "broken-ae") == "failed"
        file.write_bytes(whole)
        assert (await client.post("/models/broken-ae/load")).json()["state"] == "ready"
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.post("/encode", json=IMAGE | {"model": "broken-ae"})).status_code == 200


async def test_unloading_ends_the_thread_and_loading_brings_the_same_answers_back(
    own_client: httpx.AsyncClient,
) -> None:
    engine = own_client.app.state.registry.models[TINY].loaded.engine  # type: ignore[attr-defined]
    threads = [worker._worker.thread for worker in engine.workers]
    assert all(thread.is_alive() for thread in threads)
    before = (await own_client.post("/encode", json=IMAGE)).json()
    unloaded = (await own_client.post(f"/models/{TINY}/unload")).json()
    assert (unloaded["state"], unloaded["memory_bytes"]) == ("unloaded", None)
    assert threads
    assert not any(thread.is_alive() for thread in threads)
    assert (await own_client.post("/encode", json=IMAGE)).status_code == 503
    assert (await own_client.get("/health/ready")).status_code == 503
    loaded = (await own_client.post(f"/models/{TINY}/load")).json()
    assert (loaded["state"], loaded["parameters"]) == ("ready", 339)
    assert (await own_client.post("/encode", json=IMAGE)).json() == before


async def test_unloading_gives_the_memory_back_without_garbage_collection(own_client: httpx.AsyncClient) -> None:
    served_model = own_client.app.state.registry.models[TINY]  # type: ignore[attr-defined]
    model = weakref.ref(served_model.loaded.engine.workers[0]._config.model)
    assert model() is not None
    gc.disable()
    try:
        await own_client.post(f"/models/{TINY}/unload")
        assert model() is None
    finally:
        gc.enable()


async def test_only_the_wanted_models_are_loaded(weights: Path) -> None:
    write_tiny(weights, "other-ae")
    async with served(Settings(weights_dir=weights, models=(TINY,))) as client:
        assert await status_of(client, TINY) == "ready"
        assert await status_of(client, "other-ae") == "unloaded"
        assert (await client.get("/health/ready")).status_code == 200


async def test_the_default_model_is_the_first_by_name_or_the_setting(weights: Path) -> None:
    write_tiny(weights, "another-ae", seed=1)
    async with served(Settings(weights_dir=weights, default_models={"decode": TINY})) as client:
        assert (await client.post("/encode", json=IMAGE)).headers["x-model"] == "another-ae"
        assert (await client.post("/decode", json={"inputs": [[0, 0, 0]]})).headers["x-model"] == TINY
        info = (await client.get("/info")).json()
        chosen = {task: {*by_kind.values()} for task, by_kind in info["default_models"].items()}
        others = {task.name: {"another-ae"} for task in AUTOENCODER_TASKS}
        assert chosen == others | {"decode": {TINY}}


async def test_requests_are_refused_until_their_model_is_loaded(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, read = threading.Event(), ServedModel._read
    monkeypatch.setattr(ServedModel, "_read", lambda model: gate.wait(30) and read(model))
    async with served(Settings(weights_dir=weights), wait=False) as client:
        early = await client.post("/encode", json=IMAGE)
        assert (early.status_code, early.headers["retry-after"]) == (503, "1")
        assert early.json()["detail"].startswith(f"{TINY} is loading; ")
        assert (await client.get("/health/ready")).status_code == 503
        assert (await client.get("/health/live")).status_code == 200
        gate.set()
        while await status_of(client, TINY) == "loading":
            await asyncio.sleep(0.01)
        assert (await client.post("/encode", json=IMAGE)).status_code == 200


async def test_settings_that_name_unknown_models_are_errors_at_once(weights: Path) -> None:
    for settings in (
        Settings(weights_dir=weights, models=("nobody",)),
        Settings(weights_dir=weights, default_models={"encode": "nobody"}),
    ):
        with pytest.raises(UnknownModel, match=f"'nobody'; there are: {TINY}"):
            Registry(settings)


async def test_two_checkpoints_of_one_name_are_an_error(weights: Path) -> None:
    tiny = write_tiny(weights)
    tiny.folder.parent.rename(tiny.folder.parent.parent / "elsewhere")
    write_tiny(weights)
    with pytest.raises(CheckpointError, match=f"two checkpoints are named {TINY}"):
        Registry(Settings(weights_dir=weights))


async def test_an_error_of_loading_is_raised_when_waiting_for_it_and_all_models_are_stopped(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(weights, "other-ae")
    load = ServedModel.load

    async def fail(model: ServedModel, **options: bool) -> None:
        await load(model, **options)
        if model.name == "other-ae":
            raise RuntimeError("out of threads")

    monkeypatch.setattr(ServedModel, "load", fail)
    registry = Registry(Settings(weights_dir=weights))
    registry.start_loading()
    for wait in (registry.loaded, registry.close):
        with pytest.raises(RuntimeError, match="out of threads"):
            await wait()
    assert {model.state for model in registry.models.values()} == {State.UNLOADED}


async def test_a_registry_is_closed_only_after_it_has_loaded(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, read = threading.Event(), ServedModel._read
    monkeypatch.setattr(ServedModel, "_read", lambda model: gate.wait(30) and read(model))
    registry = Registry(Settings(weights_dir=weights))
    registry.start_loading()
    closing = asyncio.create_task(registry.close())
    waiting = asyncio.create_task(registry.loaded())
    await asyncio.sleep(0)
    waiting.cancel()  # which does not end the loading
    gate.set()
    await closing
    await registry.loaded()
    assert registry.models[TINY].state is State.UNLOADED


async def test_a_registry_that_never_loads_can_be_closed(weights: Path) -> None:
    registry = Registry(Settings(weights_dir=weights))
    await registry.loaded()
    await registry.close()


async def test_the_registry_gives_its_observer_to_every_engine(weights: Path) -> None:
    queued: list[tuple[str, str, int]] = []

    class Observer(EngineObserver):
        def queued(self, model: str, task: str, n_items: int) -> None:
            queued.append((model, task, n_items))

    registry = Registry(Settings(weights_dir=weights), Observer())
    registry.start_loading()
    await registry.loaded()
    loaded = registry.get(TINY).require()
    await loaded.engine.submit(ENCODE, [EncodeRequest(item=torch.zeros(1, 4, 4))])
    assert queued == [(TINY, "encode", 1)]
    await registry.close()


async def test_a_server_without_models_is_alive_and_not_ready(tmp_path: Path) -> None:
    async with served(Settings(weights_dir=tmp_path)) as client:
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 503
        refused = await client.post("/encode", json=IMAGE)
        assert (refused.status_code, refused.json()["detail"]) == (422, "no model serves encode")


async def test_the_server_is_unready_until_a_dead_worker_is_replaced(
    own_client: httpx.AsyncClient,
) -> None:
    engine = own_client.app.state.registry.models[TINY].loaded.engine  # type: ignore[attr-defined]
    model = engine.workers[0]._config.model
    before = [worker._worker.thread for worker in engine.workers]
    run, gate = model.encode, threading.Event()

    def lethal(requests: object) -> object:
        model.encode = lambda requests: (gate.wait(30), run(requests))[1]
        raise SystemExit

    model.encode = lethal
    waiting = asyncio.create_task(own_client.post("/encode", json=IMAGE))
    await until(lambda: not all(thread.is_alive() for thread in before))
    assert (await own_client.get("/health/ready")).status_code == 503
    gate.set()
    while (await own_client.get("/health/ready")).status_code != 200:
        await asyncio.sleep(0)
    after = [worker._worker.thread for worker in engine.workers]
    assert sum(new is not old for new, old in zip(after, before, strict=True)) == 1
    assert (await waiting).status_code == 200  # the request that was in flight is served after all


async def test_a_model_computes_in_the_dtype_of_the_settings_and_reports_its_accuracy(weights: Path) -> None:
    write_tiny(weights, "exact-ae")
    settings = Settings(weights_dir=weights, dtype="bfloat16", dtypes={"exact-ae": "float32"})
    async with served(settings) as client:
        exact, rounded = [(await client.get(f"/models/{name}")).json() for name in ("exact-ae", TINY)]
        assert (exact["dtype"], exact["dtype_reason"], exact["cosine_to_float32"]) == ("float32", "as set", 1.0)
        assert rounded["dtype"] == "bfloat16"
        assert 0.999 < rounded["cosine_to_float32"] < 1.0
        assert rounded["parameters"] == exact["parameters"]
        answers = [
            (await client.post("/reconstruct", json=IMAGE | {"model": name})).json() for name in ("exact-ae", TINY)
        ]
        first, second = (answer["outputs"][0]["mse"] for answer in answers)
        assert first == pytest.approx(second, rel=0.1)
        assert first != second


async def test_an_unsupported_dtype_is_the_reason_of_a_failure(weights: Path) -> None:
    async with served(Settings(weights_dir=weights, dtypes={TINY: "int8"})) as client:
        card = (await client.get(f"/models/{TINY}")).json()
        assert (card["state"], card["dtype"]) == ("failed", None)
        assert card["reason"].startswith("dtype is int8, which is for Transformers")


def test_starting_does_not_import_an_unused_compiler() -> None:
    code = """
import asyncio, sys
from app.main import create_app
from app.settings import Settings

async def load(registry):
    registry.start_loading()
    await registry.loaded()

registry = create_app(Settings(log_level="error", device="cpu")).state.registry
asyncio.run(load(registry))
assert registry.ready
print({"torch._dynamo", "sympy"} & sys.modules.keys() or "neither")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "neither"
