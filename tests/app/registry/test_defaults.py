"""The models that serve requests which name none."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.errors import InvalidRequest
from app.registry.registry import Registry
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.examples import SEVEN_PNG
from app.settings import Settings
from models.autoencoders.recurrent import FAMILY as RECURRENT
from tests.app.items import images
from tests.app.texts import write_text
from tests.conftest import TINY, served, write_tiny
from tests.models.tiny import write

pytestmark = pytest.mark.anyio

NUMBERS, TEXT, PICTURE = {"inputs": images(1).tolist()}, {"inputs": ["hello"]}, {"inputs": [SEVEN_PNG]}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with two models of images and two of texts."""
    root = tmp_path / "weights"
    write_tiny(root)
    write_tiny(root, "a-tiny-ae", seed=1)
    write_text(root, "transformers/bert", name="a-bert")
    write_text(root, "transformers/gpt", name="b-gpt")
    return root


def declare(folder: Path, *tasks: str, file: str = "config.json") -> None:
    path = folder / file
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | {"default_for": tasks, "known_failings": "It is random."}))


def defaults(task: str, weights: Path, **settings: Any) -> dict[Any, str]:
    return Registry(Settings(weights_dir=weights, **settings)).default_models[task]


async def model_of(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> str:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    name: str = answer.json()["model"]
    return name


async def test_the_kind_of_input_decides_and_info_shows_the_choice(weights: Path) -> None:
    declare(weights / "autoencoders/vanilla" / TINY, "encode")
    declare(weights / "transformers/gpt/b-gpt", "encode", "project", file="manifold.json")
    async with served(Settings(weights_dir=weights)) as client:
        assert await model_of(client, "/encode", TEXT) == "b-gpt"
        assert await model_of(client, "/encode", NUMBERS) == await model_of(client, "/encode", PICTURE) == TINY
        assert await model_of(client, "/project", NUMBERS) == "a-tiny-ae"  # the first by name: none declares itself
        assert await model_of(client, "/project", TEXT) == "b-gpt"
        assert await model_of(client, "/tokenize", TEXT) == "a-bert"
        chosen = (await client.get("/info")).json()["default_models"]
        assert chosen["encode"] == {"text": "b-gpt", "image": TINY, "item": TINY}
        assert (chosen["sample"], chosen["tokenize"]) == ({"item": "a-tiny-ae"}, {"text": "a-bert"})
        assert (await client.get("/models/b-gpt")).json()["known_failings"] == "It is random."


@pytest.mark.parametrize("content_type", ["image/png", "application/x-npy"])
async def test_bodies_that_are_not_json_go_to_autoencoders(weights: Path, content_type: str) -> None:
    file = io.BytesIO()
    np.save(file, images(1))
    picture = base64.b64decode(SEVEN_PNG.partition(",")[2])
    body = picture if content_type == "image/png" else file.getvalue()
    async with served(Settings(weights_dir=weights)) as client:
        answer = await client.post("/encode", content=body, headers={"content-type": content_type})
        assert (answer.status_code, answer.headers["x-model"]) == (200, "a-tiny-ae")


async def test_the_default_never_changes_and_an_unloaded_one_is_a_503_that_names_the_way_out(weights: Path) -> None:
    async with served(Settings(weights_dir=weights)) as client:
        before = (await client.get("/info")).json()["default_models"]
        await client.post("/models/a-bert/unload")
        refused = await client.post("/encode", json=TEXT)
        assert refused.status_code == 503
        assert refused.json()["detail"] == (
            "a-bert is unloaded; POST /models/a-bert/load loads it; it is the default model of encode, or name another "
            "model: b-gpt"
        )
        assert (await client.get("/info")).json()["default_models"] == before
        assert await model_of(client, "/encode", NUMBERS) == "a-tiny-ae"
        await client.post("/models/a-bert/load")
        assert await model_of(client, "/encode", TEXT) == "a-bert"


async def test_a_default_that_fails_to_load_is_not_replaced_by_another(weights: Path) -> None:
    (weights / "transformers/bert/a-bert/model.safetensors").write_bytes(b"damaged")
    async with served(Settings(weights_dir=weights)) as client:
        refused = await client.post("/encode", json=TEXT)
        assert refused.status_code == 503
        assert "a-bert is failed: a-bert/model.safetensors is not a whole safetensors file" in refused.json()["detail"]


async def test_the_users_own_models_come_first_in_the_order_given(weights: Path, tmp_path: Path) -> None:
    declare(weights / "transformers/bert/a-bert", "encode", file="manifold.json")
    first, second = (str(write_text(tmp_path / "own", "transformers/bert", name=name)) for name in ("z", "y"))
    own = {"z-own": first, "y-own": second}
    assert defaults("encode", weights, model=own)["text"] == "z-own"
    assert defaults("generate", weights, model=own) == {"text": "b-gpt"}
    assert defaults("encode", weights, model=own, models=("b-gpt",))["text"] == "z-own"
    assert defaults("encode", weights, model=own, default_models={"encode": "y-own"}) == {
        "text": "y-own",
        "image": "a-tiny-ae",
        "item": "a-tiny-ae",
    }


def test_a_series_model_is_no_default_for_images(weights: Path, tmp_path: Path) -> None:
    write(RECURRENT, RECURRENT.tiny[0], tmp_path / "own")
    chosen = defaults("reconstruct", weights, model={"own": str(tmp_path / "own")})
    assert chosen == {"image": "a-tiny-ae", "item": "own"}


def test_models_that_are_to_be_loaded_come_before_one_that_declares_itself(weights: Path) -> None:
    declare(weights / "transformers/bert/a-bert", "encode", file="manifold.json")
    assert defaults("encode", weights, models=("b-gpt",))["text"] == "b-gpt"
    assert defaults("fill_mask", weights, models=("b-gpt",)) == {"text": "a-bert"}


async def test_token_ids_go_to_a_text_model_only_where_no_autoencoder_serves_the_task(
    weights: Path, tmp_path: Path
) -> None:
    ids = {"inputs": [[3, 4, 5]]}
    async with served(Settings(weights_dir=weights)) as client:
        assert (await client.post("/encode", json=ids)).status_code == 422  # a vector of three numbers
        assert await model_of(client, "/encode", ids | {"model": "a-bert"}) == "a-bert"
    write_text(tmp_path / "texts", "transformers/bert", name="a-bert")
    async with served(Settings(weights_dir=tmp_path / "texts")) as client:
        assert await model_of(client, "/encode", ids) == "a-bert"


async def test_a_kind_that_no_model_takes_is_refused(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    async with served(Settings(weights_dir=tmp_path)) as client:
        refused = await client.post("/encode", json=TEXT)
        assert (refused.status_code, refused.json()["detail"]) == (422, "no model serves encode for texts")


def test_a_setting_that_gives_a_task_to_a_model_without_it_is_refused(weights: Path) -> None:
    with pytest.raises(InvalidRequest, match="default_models gives fill_mask to b-gpt, which does not serve it"):
        defaults("encode", weights, default_models={"fill_mask": "b-gpt"})


def test_a_setting_holds_also_for_a_model_that_cannot_be_read(weights: Path) -> None:
    (weights / "transformers/gpt/b-gpt/config.json").write_text("{}")
    assert set(defaults("encode", weights, default_models={"encode": "b-gpt"}).values()) == {"b-gpt"}


def test_the_shipped_models_declare_the_best_for_each_task() -> None:
    chosen = Registry(Settings()).default_models
    assert chosen["similarity"]["text"] == chosen["encode"]["text"] == "sentence-mini-en"
    assert (chosen["fill_mask"]["text"], chosen["generate"]["text"]) == ("bert-mini-en", "gpt-mini-en")
    assert chosen["translate"]["text"] == "transformer-multi30k-en-de"
    assert (chosen["sample"]["item"], chosen["denoise"]["image"]) == ("cvae-mnist", "denoising-ae-mnist")
    registry = Registry(Settings())
    for endpoint in task_endpoints():
        declared = [
            (model.checkpoint.modality == "text")
            for model in registry.models.values()
            if model.checkpoint and endpoint.name in model.checkpoint.default_for
        ]
        assert len(declared) == len(set(declared)), f"two models declare themselves the best for {endpoint.name}"
        assert bool(declared), endpoint.name
    assert all(model.checkpoint and model.checkpoint.known_failings for model in registry.models.values())
