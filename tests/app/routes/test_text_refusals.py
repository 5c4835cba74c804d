"""What is refused of a request about texts: the pointer names the item or the parameter that is to blame."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.app.texts import write_text
from tests.conftest import served

pytestmark = pytest.mark.anyio
LONG = "the dog " * 40
PAIR = {"question": "the dog?", "context": "a man"}
COMPARISON = {"source": "the dog", "candidates": ["a man", "a cat"]}


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    for number, name in enumerate(("masked", "classes", "tokens", "span")):
        write_text(root, "transformers/bert", number, name=name)
    write_text(root, "transformers/gpt", name="causal")
    write_text(root, "transformers/vanilla", name="translator")
    async with served(Settings(weights_dir=root)) as client:
        yield client


async def refusal(client: httpx.AsyncClient, path: str, **body: Any) -> list[tuple[str, str]]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 422, answer.text
    return [(error["pointer"], error["detail"]) for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("path", "model", "inputs", "parameters", "pointers"),
    [
        ("/answer", "span", [PAIR, {"question": LONG, "context": "x"}, PAIR], {}, ["/inputs/1"]),
        ("/answer", "span", [PAIR, *[{"question": LONG, "context": "x"}] * 2], {}, ["/inputs/1", "/inputs/2"]),
        ("/answer", "span", [PAIR, {**PAIR, "context": LONG}], {"stride": 63}, ["/parameters/stride"]),
        ("/answer", "span", [PAIR, {**PAIR, "context": LONG * 100}], {}, ["/inputs/1"]),
        ("/encode", "masked", ["a", "b"], {"dimensions": 999}, ["/parameters/dimensions"]),
        ("/encode", "masked", ["a", LONG, "b", LONG], {}, ["/inputs/1", "/inputs/3"]),
        ("/project", "masked", ["a", "b", "c"], {"method": "latent"}, ["/parameters/method"]),
        ("/attend", "masked", ["a", "b"], {"layers": [0, 99]}, ["/parameters/layers/1"]),
        ("/attend", "masked", ["a", "b"], {"heads": [-1]}, ["/parameters/heads/0"]),
        ("/attend", "translator", ["a", "b"], {"layers": [7]}, ["/parameters/layers/0"]),
        ("/similarity", "masked", [COMPARISON, {**COMPARISON, "candidates": ["a", LONG]}], {}, ["/inputs/1"]),
        ("/similarity", "masked", [COMPARISON, {**COMPARISON, "source": LONG}], {}, ["/inputs/1"]),
        ("/fill-mask", "masked", ["[MASK]", "the"], {}, ["/inputs/1"]),
        ("/fill-mask", "masked", ["[MASK]"], {"targets": ["dog", ""]}, ["/parameters/targets/1"]),
        (
            "/fill-mask",
            "masked",
            ["[MASK]"],
            {"targets": ["dogs", "dog", "cats"]},
            [f"/parameters/targets/{n}" for n in (0, 2)],
        ),
        ("/fill-mask", "masked", ["[MASK] " * 60] * 3, {"top_k": 1000}, ["/parameters/top_k"]),
        ("/fill-mask", "masked", ["[MASK] " * 60] * 70, {"top_k": 1}, ["/inputs"]),
        ("/score-text", "causal", ["the", ""], {}, ["/inputs/1"]),
        ("/score-text", "masked", ["", "the", "  "], {}, ["/inputs/0", "/inputs/2"]),
        ("/classify-tokens", "tokens", ["the", LONG], {}, ["/inputs/1"]),
        ("/classify", "classes", ["the", 7], {"top_k": 2}, ["/inputs/1"]),
    ],
)
async def test_refusals_point_at_what_is_to_blame(
    client: httpx.AsyncClient, path: str, model: str, inputs: list[Any], parameters: dict[str, Any], pointers: list[str]
) -> None:
    refused = await refusal(client, path, model=model, inputs=inputs, parameters=parameters)
    assert [pointer for pointer, _ in refused] == pointers


async def test_a_refusal_names_the_text_of_an_item(client: httpx.AsyncClient) -> None:
    item = {**COMPARISON, "candidates": ["a", LONG]}
    ((_, detail),) = await refusal(client, "/similarity", model="masked", inputs=[COMPARISON, item])
    assert detail.startswith("candidates/1: the text has 82 tokens; this model takes 1 to 64")


async def test_a_long_question_leaves_a_shorter_stride(client: httpx.AsyncClient) -> None:
    item = {"question": "the " * 50, "context": "a man sees the dog " * 3}
    answer = await client.post("/answer", json={"model": "span", "inputs": [item]})
    assert answer.status_code == 200, answer.text


async def test_entities_are_of_whole_words_by_default(client: httpx.AsyncClient) -> None:
    text = "the dogs, the cats"
    body = {"model": "tokens", "inputs": [text]}
    default, first = [
        (await client.post("/classify-tokens", json={**body, "parameters": parameters})).json()["outputs"]
        for parameters in ({}, {"aggregation": "first"})
    ]
    assert default == first


@pytest.mark.parametrize("target", ["the", "dog", "[MASK]"])
async def test_targets_are_those_of_the_answer(client: httpx.AsyncClient, target: str) -> None:
    body = {"model": "masked", "inputs": ["the [MASK] runs"]}
    answers = [
        (await client.post("/fill-mask", json={**body, "parameters": parameters})).json()["outputs"][0]["fills"][0]
        for parameters in ({"top_k": 60}, {"targets": [target, target]})
    ]
    everything, chosen = answers
    assert chosen == [fill for fill in everything if fill["token_str"] == target]
