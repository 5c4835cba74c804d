"""The dialect of Cohere over HTTP: shapes, errors and the path that it shares with the native task."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest

from app.settings import Settings
from tests.app.routes.test_rerank import CANDIDATES, LONG, QUERY, write_cross_encoder
from tests.app.routes.test_sentence_encoders import write_modules
from tests.app.texts import write_text
from tests.conftest import served

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    write_cross_encoder(root / "transformers/bert/cross")
    write_text(root, "transformers/bert", 4, "vectors")
    prompted = write_text(root, "transformers/bert", 4, "prompted")
    write_modules(prompted, "Transformer", "Pooling", prompts={"query": "the dog ", "passage": "a cat "})
    async with served(Settings(weights_dir=root, max_items=40)) as client:
        yield client


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> Any:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
@pytest.mark.parametrize("model", ["cross", "vectors"])
async def test_documents_have_the_scores_of_the_native_task(client: httpx.AsyncClient, path: str, model: str) -> None:
    item = {"query": QUERY, "candidates": CANDIDATES}
    native = (await post(client, "/rerank", model=model, inputs=[item]))["outputs"][0]["ranking"]
    answer = await post(client, path, model=model, query=QUERY, documents=CANDIDATES)
    assert [each["index"] for each in answer["results"]] == [each["index"] for each in native]
    scores = [each["relevance_score"] for each in answer["results"]]
    assert scores == pytest.approx([each["score"] for each in native], abs=1e-6)
    assert "document" not in answer["results"][0]
    assert answer["usage"]["total_tokens"] > len(CANDIDATES)


async def test_documents_come_back_as_they_were_sent(client: httpx.AsyncClient) -> None:
    documents = ["a cat", {"text": "the house"}]
    body = {"query": {"text": QUERY}, "documents": documents, "return_documents": True}
    answer = await post(client, "/v1/rerank", model="cross", **body)
    found = {each["index"]: each["document"] for each in answer["results"]}
    assert found == {0: {"text": "a cat"}, 1: {"text": "the house"}}


async def test_long_documents_are_cut_and_counted(client: httpx.AsyncClient) -> None:
    body = {"model": "cross", "query": QUERY, "documents": [LONG, "a cat", LONG]}
    answer = await client.post("/v2/rerank", json=body)
    assert answer.headers["x-truncated"] == "2"
    assert answer.json()["meta"]["warnings"] == ["2 texts were longer than the model's context and cut"]


async def test_raw_scores_are_logits(client: httpx.AsyncClient) -> None:
    body = {"model": "cross", "query": QUERY, "documents": CANDIDATES}
    scores, logits = [
        [each["relevance_score"] for each in (await post(client, "/rerank", raw_scores=raw, **body))["results"]]
        for raw in (False, True)
    ]
    assert 1 / (1 + np.exp(-np.array(logits))) == pytest.approx(scores, abs=1e-5)


async def test_queries_and_documents_have_the_prompts_of_their_roles(client: httpx.AsyncClient) -> None:
    answer = await post(client, "/v1/rerank", model="prompted", query="runs", documents=["a man", "the house"])
    item = {"query": "the dog runs", "candidates": ["a cat a man", "a cat the house"]}
    native = await post(client, "/rerank", model="vectors", inputs=[item])
    scores = [each["relevance_score"] for each in answer["results"]]
    assert scores == pytest.approx([each["score"] for each in native["outputs"][0]["ranking"]], abs=1e-5)
    for role, text in (("search_query", "the dog runs"), ("search_document", "a cat runs"), ("clustering", "runs")):
        found = await post(client, "/v1/embed", model="prompted", texts=["runs"], input_type=role)
        plain = await post(client, "/v1/embed", model="vectors", texts=[text])
        np.testing.assert_allclose(found["embeddings"], plain["embeddings"], atol=1e-5)


async def test_embeddings_by_type_say_the_same(client: httpx.AsyncClient) -> None:
    types = ["float", "base64", "int8", "ubinary"]
    answer = await post(client, "/v2/embed", model="vectors", texts=CANDIDATES, embedding_types=types)
    vectors = np.array(answer["embeddings"]["float"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    decoded = [np.frombuffer(base64.b64decode(each), "<f4") for each in answer["embeddings"]["base64"]]
    np.testing.assert_allclose(decoded, vectors, atol=1e-6)
    signs = np.unpackbits(np.array(answer["embeddings"]["ubinary"], np.uint8), axis=1)[:, :12]
    np.testing.assert_array_equal(signs, vectors > 0)
    assert np.abs(answer["embeddings"]["int8"]).max(1).tolist() == [127] * len(CANDIDATES)
    assert list((await post(client, "/v2/embed", model="vectors", texts=["a"]))["embeddings"]) == ["float"]


async def test_a_side_is_cut(client: httpx.AsyncClient) -> None:
    text = "dog " * 62 + "cat " * 62
    for truncate, kept in (("START", "cat "), ("END", "dog ")):
        cut = await post(client, "/v1/embed", model="vectors", texts=[text], truncate=truncate)
        whole = await post(client, "/v1/embed", model="vectors", texts=[kept * 62])
        np.testing.assert_allclose(cut["embeddings"], whole["embeddings"], atol=1e-5)


@pytest.mark.parametrize(
    ("path", "changes", "status", "message"),
    [
        ("/rerank", {"model": "nope"}, 404, "no model is named 'nope'"),
        ("/v1/rerank", {"query": None}, 400, "query: null is refused"),
        ("/v1/rerank", {"documents": []}, 400, "documents: []"),
        ("/v1/rerank", {"documents": ["a", {"title": "b"}]}, 400, "documents[1].text: this field is required"),
        ("/v1/rerank", {"documents": ["a"] * 40}, 400, "documents: 41 items; a request takes 1 to 40"),
        ("/rerank", {"top_n": 0}, 400, "top_n: 0 is refused"),
        ("/rerank", {"colour": 1}, 400, "colour: unknown field"),
        ("/rerank", {"inputs": []}, 400, "inputs: unknown field"),
        ("/v2/rerank", {"rank_fields": ["title"]}, 400, "rank_fields: "),
        (
            "/v2/rerank",
            {"max_tokens_per_doc": 10},
            400,
            "max_tokens_per_doc: 10 is refused: texts are cut to the context",
        ),
        ("/v2/rerank", {"model": "vectors", "raw_scores": True}, 400, "raw_scores: vectors compares embeddings"),
    ],
)
async def test_errors_have_a_message(
    client: httpx.AsyncClient, path: str, changes: dict[str, Any], status: int, message: str
) -> None:
    answer = await client.post(path, json={"model": "cross", "query": QUERY, "documents": ["a cat"], **changes})
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["message"]
    assert message in answer.json()["message"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texts": None}, "texts: send either texts or inputs"),
        ({"texts": [LONG], "truncate": "NONE"}, "texts[0]: the text has 82 tokens; this model takes 1 to 64"),
        ({"output_dimension": 13}, "output_dimension: "),
        ({"images": ["data:image/png;base64,"]}, "images: "),
        ({"embedding_types": ["int4"]}, "embedding_types[0]: "),
        ({"input_type": "image"}, "input_type: "),
    ],
)
async def test_embed_refuses_what_it_does_not_do(
    client: httpx.AsyncClient, changes: dict[str, Any], message: str
) -> None:
    for path in ("/v1/embed", "/v2/embed"):
        answer = await client.post(path, json={"model": "vectors", "texts": ["a"], **changes})
        assert answer.status_code == 400, answer.text
        assert message in answer.json()["message"]


async def test_a_native_refusal_of_the_shared_path_stays_native(client: httpx.AsyncClient) -> None:
    answer = await client.post("/rerank", json={"model": "cross", "query": QUERY})
    assert answer.headers["content-type"] == "application/problem+json"
