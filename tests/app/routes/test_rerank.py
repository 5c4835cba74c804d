"""`/rerank` over HTTP: cross-encoders as sentence-transformers runs them, and sentence encoders by their vectors."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import transformers
from sentence_transformers import CrossEncoder

from app.settings import Settings
from tests.app.texts import write_text
from tests.conftest import served
from tests.models.transformers.reference import change, publish

pytestmark = pytest.mark.anyio
QUERY = "the dog runs"
CANDIDATES = ["a cat", "the dog runs in the house", "a man sees the red dog", "a cat", "the house"]
LONG = "the dog " * 40


def write_cross_encoder(folder: Path, **values: Any) -> None:
    """Write a random BERT with one class."""
    config = transformers.BertConfig(
        vocab_size=60,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=20,
        max_position_embeddings=64,
        initializer_range=0.5,
        id2label={0: "fits"},
        label2id={"fits": 0},
    )
    publish(folder, "BertForSequenceClassification", config)
    change(folder, **values)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    write_cross_encoder(root / "transformers/bert/cross")
    write_cross_encoder(
        root / "transformers/bert/raw", sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity"}
    )
    write_text(root, "transformers/bert", 4, name="vectors")
    write_text(root, "transformers/bert", 1, name="classes")
    return root


@pytest.fixture(scope="module")
async def client(weights: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(Settings(weights_dir=weights, max_items=40)) as client:
        yield client


async def rank(client: httpx.AsyncClient, model: str, *items: Any, **parameters: Any) -> Any:
    body = {"model": model, "inputs": list(items), "parameters": parameters}
    answer = await client.post("/rerank", json=body)
    assert answer.status_code == 200, answer.text
    return [output["ranking"] for output in answer.json()["outputs"]]


@pytest.mark.parametrize("name", ["cross", "raw"])
async def test_a_cross_encoder_ranks_as_the_library_does(client: httpx.AsyncClient, weights: Path, name: str) -> None:
    reference = CrossEncoder(str(weights / "transformers/bert" / name), device="cpu")
    expected = reference.rank(QUERY, CANDIDATES)
    ((*found,),) = await rank(client, name, {"query": QUERY, "candidates": CANDIDATES})
    assert [each["score"] for each in found] == pytest.approx([each["score"] for each in expected], abs=1e-5)
    scores = {each["corpus_id"]: each["score"] for each in expected}
    assert [scores[each["index"]] for each in found] == pytest.approx([each["score"] for each in found], abs=1e-5)
    assert [each["index"] for each in found if CANDIDATES[each["index"]] == "a cat"] == [0, 3]


async def test_logits_can_be_asked_for(client: httpx.AsyncClient) -> None:
    item = {"query": QUERY, "candidates": CANDIDATES}
    ((*scores,),) = await rank(client, "cross", item)
    ((*logits,),) = await rank(client, "cross", item, function_to_apply="none")
    assert [1 / (1 + math.exp(-each["score"])) for each in logits] == pytest.approx(
        [each["score"] for each in scores], abs=1e-5
    )


async def test_classes_are_the_scores_of_pairs(client: httpx.AsyncClient) -> None:
    inputs = [{"text": QUERY, "text_pair": candidate} for candidate in CANDIDATES]
    answer = await client.post("/classify", json={"model": "cross", "inputs": inputs})
    expected = [output["labels"][0]["score"] for output in answer.json()["outputs"]]
    ((*found,),) = await rank(client, "cross", {"query": QUERY, "candidates": CANDIDATES})
    assert [each["score"] for each in found] == pytest.approx([expected[each["index"]] for each in found], abs=1e-5)


@pytest.mark.parametrize("name", ["vectors", "classes"])
async def test_other_models_rank_by_similarity(client: httpx.AsyncClient, name: str) -> None:
    compared = await client.post(
        "/similarity", json={"model": name, "inputs": {"source": QUERY, "candidates": CANDIDATES}}
    )
    (output,) = compared.json()["outputs"]
    scores = output["scores"]
    ((*found,),) = await rank(client, name, {"query": QUERY, "candidates": CANDIDATES})
    assert [each["score"] for each in found] == pytest.approx(sorted(scores, reverse=True), abs=1e-5)
    assert [each["index"] for each in found if CANDIDATES[each["index"]] == "a cat"] == [0, 3]
    assert [scores[each["index"]] for each in found] == pytest.approx([each["score"] for each in found], abs=1e-5)


async def test_each_item_is_ranked_by_itself(client: httpx.AsyncClient) -> None:
    items = [{"query": QUERY, "candidates": CANDIDATES}, {"query": "a cat", "candidates": CANDIDATES[:2]}]
    together = await rank(client, "cross", *items, top_k=2)
    alone = [(await rank(client, "cross", item))[0] for item in items]
    assert [[each["index"] for each in ranking] for ranking in together] == [
        [each["index"] for each in ranking[:2]] for ranking in alone
    ]


@pytest.mark.parametrize(
    ("name", "item", "parameters", "pointer", "detail"),
    [
        ("cross", {"query": QUERY}, {}, "/inputs/0", 'must be an object of "query", "candidates"'),
        ("cross", {"query": QUERY, "candidates": []}, {}, "/inputs/0", "at least one text"),
        ("cross", {"query": QUERY, "candidates": ["a"] * 41}, {}, "/inputs", "42 items; a request takes 1 to 40"),
        ("cross", {"query": QUERY, "candidates": ["a", 7]}, {}, "/inputs/0", "candidates/1 is 7"),
        ("cross", {"query": QUERY, "candidates": ["a", LONG]}, {}, "/inputs/0", "candidates/1: the text has 86 tokens"),
        ("vectors", {"query": LONG, "candidates": ["a"]}, {}, "/inputs/0", "query: the text has 82 tokens"),
        ("cross", {"query": QUERY, "candidates": ["a"]}, {"top_k": 0}, "/parameters/top_k", "greater than or equal"),
        (
            *("cross", {"query": QUERY, "candidates": ["a"]}, {"prompt_name": "query"}),
            *(
                "/parameters/prompt_name",
                "unknown field; known are truncate, truncation_side, top_k, function_to_apply",
            ),
        ),
        (
            *("vectors", {"query": QUERY, "candidates": ["a"]}, {"candidates_prompt_name": "x"}),
            *("/parameters/candidates_prompt_name", "this model has no prompts"),
        ),
    ],
)
async def test_refusals_say_what_is_wrong(
    client: httpx.AsyncClient, name: str, item: Any, parameters: dict[str, Any], pointer: str, detail: str
) -> None:
    answer = await client.post("/rerank", json={"model": name, "inputs": [item], "parameters": parameters})
    assert answer.status_code == 422, answer.text
    ((found, text),) = [(error["pointer"], error["detail"]) for error in answer.json()["errors"]]
    assert found == pointer
    assert detail in text
