"""The dialect of Text Embeddings Inference over HTTP: shapes, errors, headers and paths."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest

from app.http.error_answers import Problem
from app.routes.tei.dialect import render_error
from app.settings import Settings
from tests.app.routes.test_rerank import CANDIDATES, LONG, QUERY, write_cross_encoder
from tests.app.routes.test_sentence_encoders import write_modules
from tests.app.texts import write_text
from tests.conftest import served, write_tiny

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    write_cross_encoder(root / "transformers/bert/cross")
    write_text(root, "transformers/bert", 0, "masked")
    write_text(root, "transformers/bert", 1, "classes")
    prompted = write_text(root, "transformers/bert", 4, "prompted")
    write_modules(prompted, "Transformer", "Pooling", prompts={"query": "the dog "})
    write_tiny(root, "pictures")
    async with served(Settings(weights_dir=root, max_items=40)) as client:
        yield client


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> Any:
    answer = await client.post(f"/tei/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def native(client: httpx.AsyncClient, path: str, model: str, inputs: Any, **parameters: Any) -> Any:
    answer = await client.post(path, json={"model": model, "inputs": inputs, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"]


@pytest.mark.parametrize("path", ["masked/embed", "masked", "masked/"])
async def test_embeddings_have_unit_length(client: httpx.AsyncClient, path: str) -> None:
    texts = ["a dog", [2, 6, 3]]
    expected = [each["embedding"] for each in await native(client, "/encode", "masked", texts, normalize=True)]
    np.testing.assert_allclose(await post(client, path, inputs=texts), expected, atol=1e-5)
    np.testing.assert_allclose(await post(client, path, inputs="a dog"), expected[:1], atol=1e-5)
    np.testing.assert_allclose(await post(client, path, inputs=[2, 6, 3], truncate=None), expected[1:], atol=1e-5)
    raw = [each["embedding"] for each in await native(client, "/encode", "masked", texts, normalize=False)]
    np.testing.assert_allclose(await post(client, path, inputs=texts, normalize=False), raw, atol=1e-5)
    assert np.shape(await post(client, path, inputs=texts, dimensions=5)) == (2, 5)


async def test_every_token_has_a_vector(client: httpx.AsyncClient) -> None:
    found = await post(client, "masked/embed_all", inputs=["a dog", "a"])
    assert [np.shape(each) for each in found] == [(4, 12), (3, 12)]
    expected = await native(client, "/encode", "masked", ["a dog"], pooling="none")
    np.testing.assert_allclose(found[0], expected[0]["embedding"], atol=1e-5)


async def test_sparse_embeddings_are_pairs(client: httpx.AsyncClient) -> None:
    (found,) = await post(client, "masked/embed_sparse", inputs="a dog")
    (expected,) = await native(client, "/encode", "masked", ["a dog"], sparse=True)
    assert [each["index"] for each in found] == expected["embedding"]["indices"]
    assert [each["value"] for each in found] == pytest.approx(expected["embedding"]["values"], abs=1e-5)


async def test_a_list_of_two_texts_is_a_pair(client: httpx.AsyncClient) -> None:
    pair = {"text": "a dog", "text_pair": "a cat"}
    pair_labels, text_labels = [
        each["labels"] for each in await native(client, "/classify", "classes", [pair, "a dog"])
    ]

    def assert_same(found: Any, expected: Any) -> None:
        assert [each["label"] for each in found] == [each["label"] for each in expected]
        assert [each["score"] for each in found] == pytest.approx([each["score"] for each in expected], abs=1e-5)

    for path in ("classes/predict", "classes"):
        assert_same(await post(client, path, inputs="a dog"), text_labels)
        assert_same(await post(client, path, inputs=["a dog"]), text_labels)
        assert_same(await post(client, path, inputs=["a dog", "a cat"]), pair_labels)
        for found, expected in zip(
            await post(client, path, inputs=[["a dog"], ["a dog", "a cat"]]), (text_labels, pair_labels), strict=True
        ):
            assert_same(found, expected)
    raw = await post(client, "classes/predict", inputs="a dog", raw_scores=True)
    assert sum(np.exp(each["score"]) for each in raw) != pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("path", ["cross/rerank", "cross", "masked/rerank"])
async def test_texts_are_ranked(client: httpx.AsyncClient, path: str) -> None:
    item = {"query": QUERY, "candidates": CANDIDATES}
    ((*expected,),) = [each["ranking"] for each in await native(client, "/rerank", path.partition("/")[0], [item])]
    found = await post(client, path, query=QUERY, texts=CANDIDATES, return_text=True)
    assert [each["index"] for each in found] == [each["index"] for each in expected]
    assert [each["score"] for each in found] == pytest.approx([each["score"] for each in expected], abs=1e-5)
    assert [each["text"] for each in found] == [CANDIDATES[each["index"]] for each in expected]


async def test_similarities_are_those_of_the_native_task(client: httpx.AsyncClient) -> None:
    inputs = {"source_sentence": QUERY, "sentences": CANDIDATES}
    ((expected),) = await native(client, "/similarity", "prompted", [{"source": QUERY, "candidates": CANDIDATES}])
    assert await post(client, "prompted/similarity", inputs=inputs) == pytest.approx(expected["scores"], abs=1e-5)
    named = await post(client, "prompted/similarity", inputs=inputs, parameters={"prompt_name": "query"})
    assert named != pytest.approx(expected["scores"], abs=1e-3)


async def test_tokens_have_their_places(client: httpx.AsyncClient) -> None:
    (tokens,) = await post(client, "prompted/tokenize", inputs="a man", prompt_name="query")
    assert [(each["text"], each["special"], each["start"], each["stop"]) for each in tokens] == [
        ("[CLS]", True, None, None),
        ("the", False, 0, 3),
        ("dog", False, 4, 7),
        ("a", False, 8, 9),
        ("man", False, 10, 13),
        ("[SEP]", True, None, None),
    ]
    ids = [each["id"] for each in tokens]
    assert await post(client, "prompted/decode", ids=ids) == ["the dog a man"]
    assert await post(client, "prompted/decode", ids=[ids, ids[:2]], skip_special_tokens=False) == [
        "[CLS] the dog a man [SEP]",
        "[CLS] the",
    ]


async def test_headers_count_and_time(client: httpx.AsyncClient) -> None:
    answer = await client.post("/tei/masked/embed", json={"inputs": [LONG, "a dog"]})
    assert answer.status_code == 200
    names = ("truncated", "compute-characters", "compute-tokens", "compute-type")
    assert [answer.headers[f"x-{name}"] for name in names] == ["1", str(len(LONG) + 5), "68", "cpu"]
    times = ("compute-time", "total-time", "tokenization-time", "queue-time", "inference-time")
    assert all(answer.headers[f"x-{name}"].isdecimal() for name in times)


async def test_a_direction_is_the_side_that_is_cut(client: httpx.AsyncClient) -> None:
    text = "dog " * 62 + "cat " * 62
    for direction, kept in (("Left", "cat "), ("left", "cat "), ("Right", "dog ")):
        cut = await post(client, "masked/embed", inputs=text, truncation_direction=direction)
        np.testing.assert_allclose(cut, await post(client, "masked/embed", inputs=kept * 62), atol=1e-5)


async def test_the_form_of_openai_is_that_of_the_model_in_the_path(client: httpx.AsyncClient) -> None:
    expected = await post(client, "masked/embed", inputs="a dog")
    for path in ("masked/embeddings", "masked/v1/embeddings"):
        answer = await post(client, path, input="a dog", model="any")
        np.testing.assert_allclose(answer["data"][0]["embedding"], expected[0], atol=1e-5)
        cut = await client.post(f"/tei/{path}", json={"input": [LONG, "a dog"]})
        assert cut.headers["x-truncated"] == "1"
        assert cut.headers["x-compute-characters"] == str(len(LONG) + 5)
        embeddings = [each["embedding"] for each in cut.json()["data"]]
        np.testing.assert_allclose(embeddings, await post(client, "masked/embed", inputs=[LONG, "a dog"]), atol=1e-5)
        for given, status, kind in (([], 400, "Empty"), (["a"] * 41, 413, "Validation"), ([""], 422, "Validation")):
            refused = await client.post(f"/tei/{path}", json={"input": given})
            assert (refused.status_code, refused.json()["error_type"]) == (status, kind)


async def test_one_text_may_be_more_token_ids_than_a_request_has_texts(client: httpx.AsyncClient) -> None:
    assert len(await post(client, "masked/embed", inputs=[6] * 41)) == 1
    assert len(await post(client, "masked/decode", ids=[6] * 41)) == 1


async def test_models_that_read_no_texts_are_refused_as_such(client: httpx.AsyncClient) -> None:
    for path, body in (("embed", {"inputs": "a"}), ("v1/embeddings", {"input": "a"})):
        answer = await client.post(f"/tei/pictures/{path}", json=body)
        assert answer.status_code == 422
        assert "pictures reads no texts" in answer.json()["error"]


def test_a_client_that_sends_too_much_is_told_that_it_overloads() -> None:
    for name in ("QueueFull", "RateLimited"):
        status, content = render_error(Problem(name=name, status=429, detail="too many"))
        assert (status, content["error_type"]) == (429, "Overloaded")


async def test_info_says_what_a_model_is_for(client: httpx.AsyncClient) -> None:
    kinds = {}
    for model in ("masked", "classes", "cross"):
        card = (await client.get(f"/tei/{model}/info")).json()
        kinds[model] = card["model_type"]
        assert (card["model_id"], card["max_input_length"], card["auto_truncate"]) == (model, 64, True)
    assert kinds["masked"] == {"embedding": {"pooling": "mean"}}
    assert kinds["cross"] == {"reranker": {"id2label": {"0": "fits"}, "label2id": {"fits": 0}}}
    assert list(kinds["classes"]) == ["classifier"]


async def test_health_is_that_of_the_model(client: httpx.AsyncClient) -> None:
    for path in ("masked/health", "masked/ping", "masked/", "masked"):
        answer = await client.get(f"/tei/{path}")
        assert (answer.status_code, answer.content) == (200, b"")
    for model, status, kind in (("nope", 404, "Validation"), ("pictures", 422, "Validation")):
        answer = await client.get(f"/tei/{model}/health")
        assert (answer.status_code, answer.json()["error_type"]) == (status, kind)


async def test_a_wrong_method_is_refused_with_those_of_the_path(client: httpx.AsyncClient) -> None:
    for method, path, allowed in (
        ("GET", "embed", "POST"),
        ("GET", "v1/embeddings", "POST"),
        ("POST", "ping", "GET, HEAD"),
    ):
        answer = await client.request(method, f"/tei/masked/{path}", json={"inputs": "a"})
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert set(answer.json()) == {"error", "error_type"}


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "detail"),
    [
        ("masked/embed", {"inputs": []}, 400, "Empty", "inputs: there must be at least one"),
        ("masked/embed", {"inputs": ["a"] * 41}, 413, "Validation", "inputs has 41 items; a request takes 1 to 40"),
        ("masked/embed", {"inputs": LONG, "truncate": False}, 413, "Validation", "inputs: the text has 82 tokens"),
        ("masked/embed", {"inputs": 7}, 422, "Validation", "inputs: it must be a text or a list"),
        ("masked/embed", {"inputs": "a", "dimensions": 13}, 422, "Validation", "dimensions: "),
        ("masked/embed", {"inputs": "a", "prompt_name": "x"}, 422, "Validation", "this model has no prompts"),
        ("masked/embed", {"inputs": "a", "colour": 1}, 422, "Validation", "colour: unknown field"),
        ("masked/embed", {"inputs": [99999]}, 422, "Validation", "the token id 99999 is unknown"),
        ("classes/embed_sparse", {"inputs": "a"}, 422, "Validation", "this model predicts no masked words"),
        ("nope/embed", {"inputs": "a"}, 404, "Validation", "no model is named 'nope'"),
        ("masked/predict", {"inputs": "a"}, 422, "Validation", "does not serve"),
        ("classes/predict", {"inputs": ["a", "b", "c"]}, 422, "Validation", "one text or of a pair"),
        ("classes/predict", {"inputs": [["a"], "b", []]}, 422, "Validation", "inputs[2]: it must be a text"),
        ("classes/predict", {"inputs": []}, 400, "Empty", "inputs: there must be at least one"),
        ("masked/rerank", {"query": "a", "texts": []}, 400, "Empty", "texts: there must be at least one"),
        ("masked/rerank", {"query": "a", "texts": ["a"], "raw_scores": True}, 422, "Validation", "has no logits"),
        ("masked/tokenize", {"inputs": "a", "prompt_name": "x"}, 422, "Validation", "is no prompt of masked"),
        ("masked/decode", {"ids": ["a"]}, 422, "Validation", "ids[0]: the item must be a list of token ids"),
        ("pictures", {"inputs": "a"}, 422, "Validation", "pictures reads no texts"),
    ],
)
async def test_errors_have_a_kind(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], status: int, kind: str, detail: str
) -> None:
    answer = await client.post(f"/tei/{path}", json=body)
    assert (answer.status_code, answer.json()["error_type"]) == (status, kind), answer.text
    assert detail in answer.json()["error"]


async def test_a_body_that_is_not_json_is_refused_in_this_form(client: httpx.AsyncClient) -> None:
    answer = await client.post("/tei/masked/embed", content=b"{")
    assert (answer.status_code, answer.json()["error_type"]) == (400, "Validation")
