"""A model whose files change: the new version takes the place of the old one, which finishes its requests."""

import asyncio
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from app.engine.job import Outcome
from app.errors import InvalidRequest
from app.inference.run import infer
from app.registry.loaded_model import LoadedModel
from app.registry.registry import Registry
from app.registry.served_model import ServedModel
from app.settings import Settings
from models.checkpoint import load_model
from models.tasks import ENCODE
from models.tasks.autoencoding import EncodeRequest
from tests.app.items import images
from tests.app.registry.loading import run_registry
from tests.app.texts import write_text
from tests.conftest import TINY, served, write_tiny

pytestmark = pytest.mark.anyio

IMAGE = {"inputs": images(1).tolist()}


async def encode(loaded: LoadedModel) -> Any:
    outcome: Outcome = await infer(ENCODE, loaded.engine, [EncodeRequest(item=torch.full((1, 4, 4), 0.5))])
    return outcome.results[0].latent


async def test_a_request_that_began_before_a_swap_is_answered_by_the_old_version(weights: Path) -> None:
    async with run_registry(Settings(weights_dir=weights)) as registry:
        model = registry.models[TINY]
        old = await model.acquire()
        before = await encode(old)
        write_tiny(weights, seed=1)
        await registry.load(TINY)
        new = await model.acquire()
        assert new is not old
        assert new.checkpoint is model.checkpoint
        assert new.checkpoint.sha256 != old.checkpoint.sha256
        assert torch.equal(await encode(old), before)
        assert not torch.equal(await encode(new), before)
        network = weakref.ref(old.engine.workers[0]._config.model)
        old.release()
        new.release()
        del old, new
        await model._retired()
        assert network() is None


async def test_a_second_swap_waits_until_the_first_version_is_gone(weights: Path) -> None:
    async with run_registry(Settings(weights_dir=weights)) as registry:
        first = await registry.models[TINY].acquire()
        write_tiny(weights, seed=1)
        await registry.load(TINY)
        write_tiny(weights, seed=2)
        second_swap = asyncio.create_task(registry.load(TINY))
        done, _ = await asyncio.wait([second_swap], timeout=0.05)
        assert not done
        first.release()
        await second_swap


async def test_files_that_did_not_change_are_not_loaded_again(own_client: httpx.AsyncClient) -> None:
    registry: Registry = own_client.app.state.registry  # type: ignore[attr-defined]
    loaded = registry.models[TINY].loaded
    assert (await own_client.post(f"/models/{TINY}/load")).status_code == 200
    assert registry.models[TINY].loaded is loaded


async def test_a_damaged_version_is_refused_and_the_old_one_serves_on(
    own_client: httpx.AsyncClient, weights: Path
) -> None:
    before = (await own_client.post("/encode", json=IMAGE)).json()
    file = next(weights.rglob("model.safetensors"))
    file.write_bytes(file.read_bytes()[:-1])
    refused = await own_client.post(f"/models/{TINY}/load")
    assert refused.status_code == 422
    detail = refused.json()["detail"]
    assert detail.startswith(f"the new files of {TINY} cannot be loaded, and the version in memory goes on serving: ")
    assert "has the SHA-256" in detail
    assert (await own_client.get("/health/ready")).status_code == 200
    assert (await own_client.post("/encode", json=IMAGE)).json() == before


async def test_files_that_change_while_they_are_read_are_not_served(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_and_change(*arguments: Any, **named: Any) -> Any:
        (next(weights.rglob("config.json")).parent / "README.md").write_text("another card")
        return load_model(*arguments, **named)

    monkeypatch.setattr("app.registry.loaded_model.load_model", load_and_change)
    async with served(Settings(weights_dir=weights)) as client:
        card = (await client.get(f"/models/{TINY}")).json()
    said = f"the files of {TINY} changed while they were read; load it again once all are in place"
    assert (card["state"], card["reason"]) == ("failed", said)


async def test_the_server_stays_ready_while_a_new_version_is_loading(
    own_client: httpx.AsyncClient, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, read = threading.Event(), ServedModel._read
    monkeypatch.setattr(ServedModel, "_read", lambda model: gate.wait(30) and read(model))
    write_tiny(weights, seed=1)
    loading = asyncio.create_task(own_client.post(f"/models/{TINY}/load"))
    await asyncio.sleep(0)
    assert (await own_client.get("/health/ready")).status_code == 200
    before = (await own_client.post("/encode", json=IMAGE)).json()
    gate.set()
    assert (await loading).status_code == 200
    assert (await own_client.post("/encode", json=IMAGE)).json() != before


async def test_there_must_be_memory_for_both_versions(weights: Path) -> None:
    async with run_registry(Settings(weights_dir=weights)) as registry:
        loaded = registry.models[TINY].loaded
        assert loaded is not None
        await registry.apply(Settings(weights_dir=weights, memory_limit=loaded.memory_bytes + 1))
        await registry.loaded()
        write_tiny(weights, seed=1)
        with pytest.raises(InvalidRequest, match=r"goes on serving: it needs \d+ bytes of memory; memory_limit is "):
            await registry.load(TINY)
        assert registry.models[TINY].loaded is loaded


async def test_files_that_are_cut_short_in_place_do_no_harm_to_a_model_in_memory(tmp_path: Path) -> None:
    folder = write_text(tmp_path, "transformers/bert", name="mine")
    async with served(Settings(weights_dir=tmp_path)) as client:
        asked = {"model": "mine", "inputs": ["the dog sees a cat"]}
        before = (await client.post("/encode", json=asked)).json()
        for file in folder.iterdir():
            os.truncate(file, 10)
        assert (await client.post("/encode", json=asked)).json() == before
