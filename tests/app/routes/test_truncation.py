"""Texts that are too long are cut only where a request asks for it, and the answer counts them."""

import base64
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
LONG = "the dog sees a cat . " * 20
SHORT = "a man runs"
WITH_CANDIDATES = {"candidates": [SHORT, LONG, "a cat"]}


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    for number, name in enumerate(("masked", "classes", "tokens")):
        write_text(root, "transformers/bert", number, name=name)
    write_text(root, "transformers/bert", 1, name="pairs", labels=["fits"])
    write_text(root, "transformers/gpt", name="causal")
    write_text(root, "transformers/vanilla", name="translator")
    async with served(Settings(weights_dir=root)) as client:
        yield client


async def post(client: httpx.AsyncClient, path: str, model: str, inputs: Any, **parameters: Any) -> Any:
    answer = await client.post(path, json={"model": model, "inputs": inputs, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("path", "model", "inputs", "n_cut"),
    [
        ("/encode", "masked", [SHORT, LONG, LONG], 2),
        ("/encode", "masked", [SHORT], 0),
        ("/project", "masked", [SHORT, LONG], 1),
        ("/fill-mask", "masked", [f"[MASK] {LONG}"], 1),
        ("/score-text", "masked", [LONG], 1),
        ("/attend", "masked", LONG, 1),
        ("/classify", "classes", [{"text": LONG, "text_pair": SHORT}, SHORT], 1),
        ("/classify-tokens", "tokens", [LONG, LONG], 2),
        ("/similarity", "masked", [{"source": LONG, **WITH_CANDIDATES}], 2),
        ("/rerank", "masked", [{"query": SHORT, **WITH_CANDIDATES}], 1),
        ("/rerank", "pairs", [{"query": SHORT, **WITH_CANDIDATES}], 1),
        ("/generate", "causal", [LONG, SHORT], 1),
        ("/generate", "translator", [LONG, SHORT], 1),
        ("/translate", "translator", [SHORT, LONG], 1),
    ],
)
async def test_texts_that_are_cut_are_counted(
    client: httpx.AsyncClient, path: str, model: str, inputs: Any, n_cut: int
) -> None:
    parameters = {"max_new_tokens": 10} if path == "/generate" else {}
    answer = await post(client, path, model, inputs, truncate=True, **parameters)
    assert answer["usage"]["truncated"] == n_cut
    refused = await client.post(path, json={"model": model, "inputs": inputs, "parameters": parameters})
    assert refused.status_code == (422 if n_cut else 200)
    if not n_cut:
        assert "truncated" not in refused.json()["usage"]


async def test_the_tokens_of_a_cut_prompt_are_those_that_were_read(client: httpx.AsyncClient) -> None:
    answer = await post(client, "/generate", "causal", [LONG], truncate=True, max_new_tokens=10, seed=1)
    assert answer["usage"]["tokens"] == 54
    events = await client.post(
        "/generate",
        json={"model": "causal", "inputs": LONG, "parameters": {"truncate": True, "stream": True, "max_new_tokens": 2}},
    )
    assert '"truncated":1' in events.text


async def test_a_side_is_kept(client: httpx.AsyncClient) -> None:
    text = "dog " * 62 + "cat " * 62
    for side, word in (("right", "dog"), ("left", "cat"), (None, "dog")):
        parameters = {"truncate": True, "truncation_side": side}
        cut = await post(client, "/attend", "masked", text, **parameters)
        assert cut["outputs"][0]["tokens"] == ["[CLS]", *[word] * 62, "[SEP]"]
    ids = [7] * 64 + [8] * 64
    for side, token_id in (("right", 7), ("left", 8)):
        cut = await post(client, "/encode", "masked", [ids], truncate=True, truncation_side=side)
        whole = await post(client, "/encode", "masked", [[token_id] * 64])
        np.testing.assert_allclose(cut["outputs"][0]["embedding"], whole["outputs"][0]["embedding"], atol=1e-5)


async def test_a_side_without_truncation_is_refused(client: httpx.AsyncClient) -> None:
    for path, inputs in (("/encode", SHORT), ("/rerank", {"query": SHORT, "candidates": [SHORT]})):
        body = {"model": "masked", "inputs": inputs, "parameters": {"truncation_side": "left"}}
        answer = await client.post(path, json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/parameters/truncation_side"


async def npy(client: httpx.AsyncClient, **parameters: Any) -> httpx.Response:
    body = {"model": "masked", "inputs": [SHORT, LONG], "parameters": {"truncate": True, **parameters}}
    return await client.post("/encode", json=body, headers={"accept": "application/x-npy"})


async def test_an_array_of_any_encoding_says_how_many_texts_were_cut(client: httpx.AsyncClient) -> None:
    for encoding, dtype, width in (("float", "<f4", 12), ("int8", "|i1", 12), ("ubinary", "|u1", 2)):
        answer = await npy(client, encoding=encoding)
        array = np.load(io.BytesIO(answer.content))
        assert (array.dtype.str, array.shape, answer.headers["x-truncated"]) == (dtype, (2, width), "1")
    assert (await npy(client, encoding="base64")).json()["errors"][0]["pointer"] == "/parameters/encoding"


async def test_encodings_are_of_the_same_vectors(client: httpx.AsyncClient) -> None:
    async def outputs(**parameters: Any) -> Any:
        return (await post(client, "/encode", "masked", [SHORT, "a cat"], **parameters))["outputs"]

    vectors = np.array([output["embedding"] for output in await outputs()])
    coded = [np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in await outputs(encoding="base64")]
    np.testing.assert_allclose(coded, vectors, atol=1e-6)
    scaled = [np.array(each["embedding"]) * each["scale"] for each in await outputs(encoding="int8")]
    np.testing.assert_allclose(scaled, vectors, atol=np.abs(vectors).max() / 200)
    bits = [np.unpackbits(np.uint8(each["embedding"]))[:12] for each in await outputs(encoding="ubinary")]
    np.testing.assert_array_equal(bits, vectors > 0)
    (tokens, _) = await outputs(encoding="uint8", pooling="none")
    assert (len(tokens["embedding"]), len(tokens["scale"]), len(tokens["embedding"][0])) == (5, 5, 12)


async def test_a_sparse_embedding_has_no_other_encoding(client: httpx.AsyncClient) -> None:
    body = {"model": "masked", "inputs": SHORT, "parameters": {"sparse": True, "encoding": "int8"}}
    answer = await client.post("/encode", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/parameters/encoding"
