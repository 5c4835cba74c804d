"""Vectors of texts over HTTP: in JSON and as an array, of one text or many, of texts or of their tokens."""

import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest

from app.settings import Settings
from tests.app.texts import write_text
from tests.conftest import served

pytestmark = pytest.mark.anyio
NPY = "application/x-npy"


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    write_text(root, "transformers/bert")
    async with served(Settings(weights_dir=root)) as its:
        yield its


def texts(n: int) -> list[str]:
    return [" ".join(["the", "dog", "a"][place % 3] for place in range(number, 2 * number + 1)) for number in range(n)]


async def ask(client: httpx.AsyncClient, inputs: list[str], accept: str = "application/json", **parameters: Any) -> Any:
    body = {"inputs": inputs, "parameters": parameters}
    answer = await client.post("/encode", json=body, headers={"accept": accept})
    assert answer.status_code == 200, answer.text
    if accept == NPY:
        return np.load(io.BytesIO(answer.content))
    return [np.array(output["embedding"]) for output in answer.json()["outputs"]]


@pytest.mark.parametrize("n", [1, 3, 17, 200])  # rendered in all ways there are
async def test_arrays_have_what_json_has(client: httpx.AsyncClient, n: int) -> None:
    vectors = await ask(client, [text[:100] for text in texts(n)])
    array = await ask(client, [text[:100] for text in texts(n)], NPY)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.array(vectors, np.float32))
    (alone,) = await ask(client, [texts(n)[-1][:100]])
    np.testing.assert_allclose(vectors[-1], alone, atol=1e-5)


@pytest.mark.parametrize("parameters", [{}, {"dimensions": 5}, {"normalize": True, "dimensions": 5}])
async def test_vectors_of_tokens(client: httpx.AsyncClient, parameters: dict[str, Any]) -> None:
    several = await ask(client, ["the dog", "a"], pooling="none", **parameters)
    assert several[0].shape[0] > several[1].shape[0]
    for one in several:
        assert one.shape[1] == (5 if parameters else 12)
        if "normalize" in parameters:
            np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)
    array = await ask(client, ["the dog"], NPY, pooling="none", **parameters)
    np.testing.assert_allclose(array[0], several[0], atol=1e-5)
    uneven = {"inputs": ["the dog", "a"], "parameters": {"pooling": "none"}}
    refused = await client.post("/encode", json=uneven, headers={"accept": NPY})
    assert refused.status_code == 422
    assert "differ in shape" in refused.text
