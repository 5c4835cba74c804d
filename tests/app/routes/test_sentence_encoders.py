"""Sentence encoders over HTTP: prompts, measures of similarity and sparse embeddings, as their folders ask for them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.settings import Settings
from tests.app.texts import write_text
from tests.conftest import served

pytestmark = pytest.mark.anyio
PACKAGE = "sentence_transformers.models"


def write_modules(folder: Path, *modules: str, **settings: Any) -> None:
    """Write the files of a sentence encoder beside those of its Transformer."""
    listed = [{"type": f"{PACKAGE}.{kind}", "path": f"{n}_{kind}" if n else ""} for n, kind in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(listed))
    for module in listed[1:]:
        (folder / module["path"]).mkdir()
        (folder / module["path"] / "config.json").write_text("{}")
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    write_text(root, "transformers/bert", 4, "plain")
    prompted = write_text(root, "transformers/bert", 4, "prompted")
    prompts = {"prompts": {"query": "the dog ", "document": "a cat "}, "default_prompt_name": "query"}
    write_modules(prompted, "Transformer", "Pooling", "Normalize", **prompts, similarity_fn_name="euclidean")
    splade = write_text(root, "transformers/bert", 0, "splade")
    write_modules(splade, "MLMTransformer", "SpladePooling", model_type="SparseEncoder")
    async with served(Settings(weights_dir=root)) as its:
        yield its


async def ask(client: httpx.AsyncClient, path: str, model: str, *inputs: Any, **parameters: Any) -> Any:
    answer = await client.post(path, json={"model": model, "inputs": list(inputs), "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"]


async def vector(client: httpx.AsyncClient, model: str, text: Any, **parameters: Any) -> Any:
    (output,) = await ask(client, "/encode", model, text, **parameters)
    return np.array(output["embedding"])


async def refusal(client: httpx.AsyncClient, path: str, model: str, **parameters: Any) -> tuple[str, str]:
    item = {"source": "a", "candidates": ["the"]} if path == "/similarity" else "a"
    answer = await client.post(path, json={"model": model, "inputs": [item], "parameters": parameters})
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    return error["pointer"], error["detail"]


@pytest.mark.parametrize(
    ("parameters", "prompt"),
    [
        ({}, "the dog "),
        ({"prompt_name": None}, "the dog "),
        ({"prompt_name": "document"}, "a cat "),
        ({"prompt_name": ""}, ""),
    ],
)
async def test_a_prompt_stands_before_each_text(
    client: httpx.AsyncClient, parameters: dict[str, Any], prompt: str
) -> None:
    found = await vector(client, "prompted", "runs", **parameters)
    np.testing.assert_allclose(found, await vector(client, "plain", f"{prompt}runs", normalize=True), atol=1e-5)
    texts = ["runs", "a man", "the house"]
    points = await ask(client, "/project", "prompted", *texts, **parameters)
    prompted = [prompt + text for text in texts]
    assert points == await ask(client, "/project", "prompted", *prompted, prompt_name="")


async def test_token_ids_get_no_prompt(client: httpx.AsyncClient) -> None:
    ids = [2, 6, 3]
    found = await vector(client, "prompted", ids)
    np.testing.assert_allclose(found, await vector(client, "prompted", ids, prompt_name=""), atol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "of_source", "of_candidates"),
    [
        ({}, "query", "query"),
        ({"prompt_name": ""}, "", ""),
        ({"prompt_name": "query", "candidates_prompt_name": "document"}, "query", "document"),
        ({"candidates_prompt_name": ""}, "query", ""),
    ],
)
async def test_similarities_are_of_the_vectors_of_encode(
    client: httpx.AsyncClient, parameters: dict[str, Any], of_source: str, of_candidates: str
) -> None:
    item = {"source": "runs", "candidates": ["a man", "the house"]}
    (output,) = await ask(client, "/similarity", "prompted", item, **parameters)
    source = await vector(client, "prompted", "runs", prompt_name=of_source)
    candidates = [await vector(client, "prompted", text, prompt_name=of_candidates) for text in item["candidates"]]
    distances = np.linalg.norm(np.stack(candidates) - source, axis=1)
    np.testing.assert_allclose(output["scores"], -distances, atol=1e-5)


@pytest.mark.parametrize(
    ("path", "model", "parameters", "pointer", "detail"),
    [
        ("/encode", "prompted", {"prompt_name": "x"}, "prompt_name", "this model has query, document"),
        ("/project", "prompted", {"prompt_name": "x"}, "prompt_name", "this model has query, document"),
        ("/similarity", "prompted", {"prompt_name": "x"}, "prompt_name", "this model has query, document"),
        (
            *("/similarity", "prompted", {"candidates_prompt_name": "x"}),
            *("candidates_prompt_name", "this model has query, document"),
        ),
        ("/encode", "plain", {"prompt_name": "query"}, "prompt_name", "this model has no prompts"),
        ("/encode", "plain", {"sparse": True}, "sparse", "this model predicts no masked words"),
        ("/encode", "plain", {"dimensions": 13}, "dimensions", "this model's embeddings have 1 to 12"),
        ("/encode", "splade", {"dimensions": 5}, "dimensions", "dimensions needs sparse to be false"),
        ("/encode", "splade", {"normalize": True}, "normalize", "normalize needs sparse to be false"),
        ("/project", "splade", {"method": "latent"}, "method", "this model's are 60"),
    ],
)
async def test_a_refusal_points_at_the_parameter(
    client: httpx.AsyncClient, path: str, model: str, parameters: dict[str, Any], pointer: str, detail: str
) -> None:
    found = await refusal(client, path, model, **parameters)
    assert found[0] == f"/parameters/{pointer}"
    assert detail in found[1]


async def test_sparse_embeddings_list_the_elements_that_are_not_zero(client: httpx.AsyncClient) -> None:
    texts = ["the dog runs", "a man"]
    dense = np.zeros((2, 60))
    for row, output in zip(dense, await ask(client, "/encode", "splade", *texts), strict=True):
        indices, values = output["embedding"]["indices"], output["embedding"]["values"]
        assert indices == sorted(set(indices))
        assert min(values) > 0
        row[indices] = values
    (compared,) = await ask(client, "/similarity", "splade", {"source": texts[0], "candidates": texts[1:]})
    np.testing.assert_allclose(compared["scores"], [dense[0] @ dense[1]], rtol=1e-5)
    assert len(await ask(client, "/project", "splade", *texts, "the house")) == 3
    assert (await vector(client, "splade", texts[0], sparse=False)).shape == (12,)
    body = {"model": "splade", "inputs": texts}
    refused = await client.post("/encode", json=body, headers={"accept": "application/x-npy"})
    assert (refused.status_code, "form no array" in refused.text) == (422, True)
