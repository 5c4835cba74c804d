"""New settings while the server runs: models come and go, and the defaults stay."""

from pathlib import Path

import httpx
import pytest

from app.errors import UnknownModel
from app.registry.registry import Registry
from app.services import Services
from app.settings import RELOADABLE, Settings
from tests.app.items import images
from tests.conftest import TINY, served, write_tiny

pytestmark = pytest.mark.anyio

IMAGE = {"inputs": images(1).tolist()}


def services_of(client: httpx.AsyncClient) -> Services:
    services: Services = client.app.state  # type: ignore[attr-defined]
    return services


async def apply(client: httpx.AsyncClient, settings: Settings) -> list[str]:
    """Apply settings, and wait for the loading that follows."""
    changed = await services_of(client).apply(settings)
    await services_of(client).registry.loaded()
    return changed


def states(registry: Registry) -> dict[str, str]:
    return {name: str(model.state) for name, model in registry.models.items()}


async def test_models_that_are_named_are_loaded_and_those_named_no_more_are_unloaded(
    weights: Path, tmp_path: Path
) -> None:
    mine = write_tiny(tmp_path / "elsewhere", "a-mine", seed=1).folder
    write_tiny(weights, "other-ae")
    async with served(Settings(weights_dir=weights, models=(TINY,))) as client:
        registry = services_of(client).registry
        defaults = (await client.get("/info")).json()["default_models"]
        settings = Settings(weights_dir=weights, models=("other-ae",), model={"a-mine": str(mine)})
        assert await apply(client, settings) == ["model", "models"]
        assert states(registry) == {"a-mine": "ready", "other-ae": "ready", TINY: "unloaded"}
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.get("/info")).json()["default_models"] == defaults
        assert (await client.post("/encode", json=IMAGE)).status_code == 503  # its default is unloaded
        assert (await client.post("/encode", json=IMAGE | {"model": "a-mine"})).status_code == 200
        await apply(client, Settings(weights_dir=weights))  # all of the folder
        assert states(registry) == {"a-mine": "unloaded", "other-ae": "ready", TINY: "ready"}


async def test_a_model_that_is_added_becomes_the_default_where_there_was_none(tmp_path: Path) -> None:
    async with served(Settings(weights_dir=tmp_path)) as client:
        assert (await client.post("/encode", json=IMAGE)).status_code == 422
        write_tiny(tmp_path)
        await apply(client, Settings(weights_dir=tmp_path))
        assert (await client.post("/encode", json=IMAGE)).headers["x-model"] == TINY
        write_tiny(tmp_path, "a-ae")
        await apply(client, Settings(weights_dir=tmp_path))
        assert (await client.post("/encode", json=IMAGE)).headers["x-model"] == TINY


async def test_another_folder_or_other_files_are_loaded_beside_the_model_in_memory(tmp_path: Path) -> None:
    folders = [write_tiny(tmp_path / str(seed), seed=seed).folder for seed in range(2)]
    async with served(Settings(weights_dir=tmp_path / "none", model={"mine": str(folders[0])})) as client:
        before = (await client.post("/encode", json=IMAGE)).json()
        await apply(client, Settings(weights_dir=tmp_path / "none", model={"mine": str(folders[1])}))
        after = (await client.post("/encode", json=IMAGE)).json()
        assert after["model"] == before["model"] == "mine"
        assert after["outputs"] != before["outputs"]


async def test_settings_that_name_unknown_models_change_nothing(weights: Path) -> None:
    async with served(Settings(weights_dir=weights)) as client:
        services = services_of(client)
        before = services.settings
        with pytest.raises(UnknownModel, match="'nobody'"):
            await services.apply(Settings(weights_dir=weights, models=("nobody",), max_items=7))
        assert services.settings is before
        assert states(services.registry) == {TINY: "ready"}


async def test_a_model_that_is_added_and_cannot_be_loaded_leaves_the_server_ready(weights: Path) -> None:
    async with served(Settings(weights_dir=weights)) as client:
        (write_tiny(weights, "broken-ae").folder / "model.safetensors").unlink()
        await apply(client, Settings(weights_dir=weights))
        assert states(services_of(client).registry) == {"broken-ae": "failed", TINY: "ready"}
        assert (await client.get("/health/ready")).status_code == 200


async def test_limits_timeouts_and_origins_are_followed_at_once(weights: Path) -> None:
    async with served(Settings(weights_dir=weights)) as client:
        preflight = {"origin": "https://a.example", "access-control-request-method": "POST"}
        assert (await client.options("/encode", headers=preflight)).status_code == 405
        changed = await apply(
            client,
            Settings(
                weights_dir=weights,
                max_items=1,
                max_queue_items=2,
                max_timeout_ms=40_000,
                cors_origins="https://a.example",
                port=1,
                workers=1,
            ),
        )
        assert changed == ["cors_origins", "max_items", "max_queue_items", "max_timeout_ms"]
        assert (await client.options("/encode", headers=preflight)).status_code == 200
        refused = await client.post("/encode", json={"inputs": IMAGE["inputs"] * 2})
        assert (refused.status_code, "takes 1 to 1" in refused.text) == (422, True), refused.text
        late = await client.post("/encode", json=IMAGE, headers={"x-timeout-ms": "50000"})
        assert (late.status_code, "from 1 to 40000" in late.text) == (422, True)
        info = (await client.get("/info")).json()["limits"]
        assert (info["max_items"], info["max_queue_items"]) == (1, 2)
        engine = services_of(client).registry.models[TINY].require().engine
        assert engine._queue._max_items == 2
        assert services_of(client).settings.port == Settings.model_fields["port"].default
        await apply(client, Settings(weights_dir=weights))
        assert (await client.options("/encode", headers=preflight)).status_code == 405


def test_every_reloadable_setting_exists() -> None:
    assert Settings.model_fields.keys() >= RELOADABLE
