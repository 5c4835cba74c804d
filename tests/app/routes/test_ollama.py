"""The dialect of Ollama over HTTP: the shape of answers, streams and errors."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.errors import InferenceFailed
from app.schemas.foreign.ollama import OllamaGenerateBody, OllamaOptions
from app.settings import Settings
from tests.app.texts import N_POSITIONS, write_text
from tests.conftest import TINY, served, write_tiny

pytestmark = pytest.mark.anyio
ENCODER, GPT, TUNED = "encoder", "gpt", "tuned"
GREEDY = {"temperature": 0, "num_predict": 5}
PROMPT = {"model": GPT, "prompt": "the dog", "stream": False}


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    write_tiny(root)
    write_text(root, "transformers/gpt", name=GPT)
    tuned = write_text(root, "transformers/gpt", name=TUNED)
    (tuned / "generation_config.json").write_text(json.dumps({"top_k": 3, "max_new_tokens": 7}))
    write_text(root, "transformers/bert", 4, ENCODER)
    async with served(Settings(weights_dir=root, max_items=20)) as client:
        yield client


async def ask(client: httpx.AsyncClient, path: str, **body: Any) -> Any:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def generate(client: httpx.AsyncClient, **body: Any) -> Any:
    return await ask(client, "/api/generate", **{**PROMPT, **body})


async def native(client: httpx.AsyncClient, parameters: dict[str, Any], model: str = GPT) -> str:
    answer = await ask(client, "/generate", model=model, inputs=["the dog"], parameters=parameters)
    text: str = answer["outputs"][0]["generations"][0]["text"]
    return text


async def lines(client: httpx.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    answer = await client.post("/api/generate", json={"model": GPT, "prompt": "the dog", **body})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_embeddings_are_those_of_encode_at_unit_length(client: httpx.AsyncClient) -> None:
    texts = ["the dog", "a cat sat"]
    parameters = {"normalize": True, "dimensions": 3}
    expected = await ask(client, "/encode", model=ENCODER, inputs=texts, parameters=parameters)
    answer = await ask(client, "/api/embed", model=f"{ENCODER}:latest", input=texts, dimensions=3, keep_alive="5m")
    assert answer["embeddings"] == [output["embedding"] for output in expected["outputs"]]
    assert answer["prompt_eval_count"] == expected["usage"]["tokens"]
    assert answer["model"] == ENCODER
    assert answer["total_duration"] > 0
    (raw,) = (await ask(client, "/encode", model=ENCODER, inputs=["the dog"]))["outputs"]
    older = await ask(client, "/api/embeddings", model=ENCODER, prompt="the dog")
    assert older == {"embedding": raw["embedding"]}
    assert np.linalg.norm(older["embedding"]) != pytest.approx(1, abs=1e-2)


async def test_long_texts_are_cut_unless_the_client_says_otherwise(client: httpx.AsyncClient) -> None:
    text = "dog " * 100
    cut = await ask(client, "/api/embed", model=ENCODER, input=text)
    assert cut["prompt_eval_count"] == N_POSITIONS
    for path, body in (
        ("/api/embed", {"input": text, "truncate": False}),
        ("/api/embeddings", {"prompt": text}),
    ):
        answer = await client.post(path, json={"model": ENCODER, **body})
        assert answer.status_code == 400
        assert f"this model takes 1 to {N_POSITIONS}" in answer.json()["error"]


@pytest.mark.parametrize("given", ["", []])
async def test_nothing_has_no_embedding(client: httpx.AsyncClient, given: Any) -> None:
    assert (await ask(client, "/api/embed", model=ENCODER, input=given))["embeddings"] == []
    assert await ask(client, "/api/embeddings", model=ENCODER, prompt=None) == {"embedding": []}


async def test_options_that_change_no_answer_are_taken(client: httpx.AsyncClient) -> None:
    options = dict.fromkeys(OllamaOptions.model_fields) | {
        "num_ctx": 2048,
        "num_thread": 4,
        "num_gpu": 0,
        "num_batch": 512,
        "num_keep": 4,
        "use_mmap": True,
        "mirostat": 0,
        "mirostat_eta": 0.1,
        "mirostat_tau": 5.0,
        "tfs_z": 1,
        "penalize_newline": True,
        "repeat_last_n": 64,
        "repeat_penalty": 1.0,
    }
    plain = await ask(client, "/api/embed", model=ENCODER, input="the dog")
    same = await ask(client, "/api/embed", model=ENCODER, input="the dog", options=options, keep_alive=-1)
    assert same["embeddings"] == plain["embeddings"]
    neutral = dict.fromkeys(set(OllamaGenerateBody.model_fields) - set(PROMPT)) | {
        "suffix": "",
        "system": "",
        "template": "",
        "context": [],
        "images": [],
        "format": "",
        "think": False,
        "raw": True,
        "options": options | GREEDY,
    }
    answer = await generate(client, **neutral)
    assert answer["response"] == await native(client, {"max_new_tokens": 5})


async def test_a_text_is_that_of_generate(client: httpx.AsyncClient) -> None:
    answer = await generate(client, options=GREEDY)
    assert answer["response"] == await native(client, {"max_new_tokens": 5})
    assert (answer["done"], answer["done_reason"], answer["eval_count"]) == (True, "length", 5)
    assert answer["total_duration"] >= answer["eval_duration"] > 0
    assert datetime.fromisoformat(answer["created_at"]).tzinfo is not None


async def test_options_are_the_parameters_of_generate(client: httpx.AsyncClient) -> None:
    options: dict[str, Any] = {"seed": 3, "temperature": 1.5, "top_k": 9, "top_p": 0.8, "min_p": 0.01, "typical_p": 0.9}
    penalties = {"presence_penalty": 0.5, "frequency_penalty": 0.5}
    answer = await generate(client, options=options | penalties | {"num_predict": 9, "repeat_penalty": 1.3})
    expected = await native(client, options | penalties | {"max_new_tokens": 9, "repetition_penalty": 1.3})
    assert answer["response"] == expected


async def test_what_the_request_leaves_out_is_the_checkpoints_else_ollamas(client: httpx.AsyncClient) -> None:
    own: dict[str, Any] = {"do_sample": True, "temperature": 0.8, "top_p": 0.9, "seed": 5}
    answer = await generate(client, options={"seed": 5})
    assert answer["response"] == await native(client, own | {"top_k": 40})
    assert answer["eval_count"] <= 64
    tuned = await generate(client, model=TUNED, options={"seed": 5})
    assert tuned["response"] == await native(client, own, TUNED)
    assert tuned["eval_count"] == 7
    random = {(await generate(client, options={"seed": -1, "temperature": 2.0}))["response"] for _ in range(3)}
    assert len(random) > 1


@pytest.mark.parametrize("top_logprobs", [None, 2])
async def test_a_stream_says_what_the_whole_answer_says(client: httpx.AsyncClient, top_logprobs: int | None) -> None:
    asked = {"options": {**GREEDY, "stop": "zzz"}, "logprobs": True, "top_logprobs": top_logprobs}
    whole = await generate(client, **asked)
    *parts, last = await lines(client, **asked)
    assert "".join(part["response"] for part in parts) == whole["response"]
    assert [token for part in parts for token in part["logprobs"]] == whole["logprobs"]
    assert [len(token.get("top_logprobs", [])) for token in whole["logprobs"]] == [top_logprobs or 0] * 5
    assert not any(part["done"] for part in parts)
    assert (last["response"], last["done"], last["done_reason"]) == ("", True, "length")
    counts = ("prompt_eval_count", "eval_count")
    assert [last[name] for name in counts] == [whole[name] for name in counts]


async def test_an_empty_prompt_asks_whether_the_model_is_loaded(tmp_path: Path) -> None:
    write_text(tmp_path, "transformers/gpt", name=GPT)
    async with served(Settings(weights_dir=tmp_path)) as client:
        (line,) = await lines(client, prompt="")
        assert (line["response"], line["done"], line["done_reason"]) == ("", True, "load")
        assert (await generate(client, prompt=None))["done_reason"] == "load"
        assert [model["name"] for model in (await client.get("/api/ps")).json()["models"]] == [GPT]
        await client.post(f"/models/{GPT}/unload")
        answer = await client.post("/api/generate", json={**PROMPT, "prompt": ""})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert set(answer.json()) == {"error"}
        assert (await client.get("/api/ps")).json() == {"models": []}
        (model,) = (await client.get("/api/tags")).json()["models"]
        assert model["details"]["parameter_size"] == ""


async def test_an_error_in_the_middle_of_a_stream_is_its_last_line(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> dict[str, int]:
        raise InferenceFailed("the forward pass failed")

    monkeypatch.setattr("app.routes.ollama.generation.stream_usage", fail)
    *parts, last = await lines(client, options=GREEDY)
    assert len(parts) > 1
    assert last == {"error": "the forward pass failed"}


async def test_models(client: httpx.AsyncClient) -> None:
    models = {model["name"]: model for model in (await client.get("/api/tags")).json()["models"]}
    assert set(models) == {ENCODER, GPT, TUNED, TINY}
    assert models[GPT]["size"] > 0
    assert len(models[TINY]["digest"]) == 64
    assert models[GPT]["details"]["family"] == "gpt"
    shown = await ask(client, "/api/show", model=f"{ENCODER}:latest", verbose=True)
    assert shown["capabilities"] == ["embedding"]
    assert shown["model_info"]["bert.context_length"] == N_POSITIONS
    assert shown == await ask(client, "/api/show", name=ENCODER)
    assert "completion" in (await ask(client, "/api/show", model=GPT))["capabilities"]
    assert (await ask(client, "/api/show", model=TUNED))["parameters"].splitlines() == ["max_new_tokens 7", "top_k 3"]
    assert (await ask(client, "/api/show", model=TINY))["capabilities"] == []
    assert set((await client.get("/api/version")).json()) == {"version"}


@pytest.mark.parametrize(
    ("path", "fields", "status", "detail"),
    [
        ("/api/generate", {"model": "nobody"}, 404, "'nobody'"),
        ("/api/generate", {"model": "gpt:7b"}, 404, "'gpt:7b'"),
        ("/api/generate", {"model": ENCODER}, 400, "does not serve generate"),
        ("/api/generate", {"model": None}, 400, "model: this field is required"),
        ("/api/generate", {"prompt": "dog " * 100}, 400, "prompt: "),
        ("/api/generate", {"prompt": ["dog"]}, 400, "prompt: "),
        ("/api/generate", {"system": "Be brief."}, 400, "system: 'Be brief.' is refused"),
        ("/api/generate", {"context": [1]}, 400, "context: "),
        ("/api/generate", {"images": ["aGk="]}, 400, "images: "),
        ("/api/generate", {"format": {"type": "object"}}, 400, "format: "),
        ("/api/generate", {"think": "high"}, 400, "think: 'high' is refused"),
        ("/api/generate", {"width": 64}, 400, "width: 64 is refused"),
        ("/api/generate", {"keep_alive": 0}, 400, "keep_alive: 0 is refused"),
        ("/api/generate", {"keep_alive": "0s"}, 400, "keep_alive: '0s' is refused"),
        ("/api/generate", {"keep_alive": "soon"}, 400, "keep_alive: 'soon' is refused"),
        ("/api/generate", {"keep_alive": True}, 400, "keep_alive: true is refused"),
        ("/api/generate", {"top_logprobs": 2}, 400, "top_logprobs: "),
        ("/api/generate", {"messages": []}, 400, "messages: unknown field"),
        ("/api/generate", {"options": {"num_predict": -1}}, 400, "options.num_predict: -1 is refused"),
        ("/api/generate", {"options": {"num_predict": 999}}, 400, "options.num_predict: num_predict is 999"),
        ("/api/generate", {"options": {"num_ctx": 16}}, 400, f"context is {N_POSITIONS}"),
        ("/api/generate", {"options": {"mirostat": 1}}, 400, "options.mirostat: 1 is refused"),
        ("/api/generate", {"options": {"repeat_penalty": 1.1, "repeat_last_n": 9}}, 400, "options.repeat_last_n: 9"),
        ("/api/generate", {"options": {"top": 1}}, 400, "options.top: unknown field"),
        ("/api/embed", {"input": [5]}, 400, "input: it must be a text"),
        ("/api/embed", {"input": [[5, 6]]}, 400, "input[0]: it must be a text"),
        ("/api/embed", {"input": ["a"] * 21}, 400, "20"),
        ("/api/embed", {"input": "a", "dimensions": 99}, 400, "dimensions: "),
        ("/api/embed", {"input": "a", "options": {"num_ctx": 1}}, 400, "options.num_ctx: 1 is refused"),
        ("/api/embed", {"input": "a", "model": TINY}, 400, "of the kind image"),
        ("/api/embeddings", {"prompt": 5}, 400, "prompt: 5 is refused"),
        ("/api/show", {}, 400, "model: this field is required"),
        ("/api/show", {"model": "nobody"}, 404, "'nobody'"),
        ("/api/chat", {}, 404, "/api/generate"),
        ("/api/pull", {}, 404, "no route"),
    ],
    ids=str,
)
async def test_refusals(client: httpx.AsyncClient, path: str, fields: dict[str, Any], status: int, detail: str) -> None:
    base = {"/api/generate": {**PROMPT, "stream": True}, "/api/show": {}}.get(path, {"model": ENCODER})
    answer = await client.post(path, json={**base, **fields})
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    assert detail in answer.json()["error"]
