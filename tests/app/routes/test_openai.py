"""The dialect of OpenAI over HTTP: the shape of answers, streams and errors."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.errors import InferenceFailed
from app.http.error_answers import Problem
from app.routes.openai.dialect import render_error
from app.schemas.foreign.openai import OpenAICompletionsBody
from app.settings import Settings
from tests.app.routes.test_sentence_encoders import write_modules
from tests.app.texts import N_POSITIONS, write_text
from tests.conftest import TINY, served, write_tiny

pytestmark = pytest.mark.anyio
ENCODER, GPT, SPLADE = "encoder", "gpt", "splade"
PROMPT = {"model": GPT, "prompt": "the dog", "temperature": 0, "max_tokens": 5}


def write_models(root: Path) -> None:
    write_tiny(root)
    write_text(root, "transformers/gpt", name=GPT)
    write_text(root, "transformers/bert", 4, ENCODER)
    write_modules(write_text(root, "transformers/bert", 0, SPLADE), "MLMTransformer", "SpladePooling")


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    root = tmp_path_factory.mktemp("weights")
    write_models(root)
    async with served(Settings(weights_dir=root, max_items=20)) as client:
        yield client


async def embed(client: httpx.AsyncClient, given: Any, **fields: Any) -> Any:
    answer = await client.post("/v1/embeddings", json={"model": ENCODER, "input": given, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def complete(client: httpx.AsyncClient, **fields: Any) -> Any:
    answer = await client.post("/v1/completions", json={**PROMPT, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def chunks(client: httpx.AsyncClient, **fields: Any) -> list[Any]:
    answer = await client.post("/v1/completions", json={**PROMPT, "stream": True, **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [event.removeprefix("data: ") for event in answer.text.split("\n\n") if event]
    return [event if event == "[DONE]" else json.loads(event) for event in events]


async def refusal(client: httpx.AsyncClient, path: str, body: Any, status: int = 400) -> dict[str, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await client.post(path, content=content)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


async def test_embeddings_are_those_of_encode_at_unit_length(client: httpx.AsyncClient) -> None:
    texts = ["the dog", "a cat sat"]
    body = {"model": ENCODER, "inputs": texts, "parameters": {"normalize": True}}
    native = (await client.post("/encode", json=body)).json()
    answer = await embed(client, texts, user="someone", dimensions=None)
    assert answer == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": output["embedding"]}
            for index, output in enumerate(native["outputs"])
        ],
        "model": ENCODER,
        "usage": {"prompt_tokens": native["usage"]["tokens"], "total_tokens": native["usage"]["tokens"]},
    }
    assert np.linalg.norm(answer["data"][0]["embedding"]) == pytest.approx(1, abs=1e-5)


async def test_base64_holds_the_same_numbers(client: httpx.AsyncClient) -> None:
    texts = [f"dog {number}" for number in range(20)]
    plain = await embed(client, texts, dimensions=3, encoding_format="float")
    packed = await embed(client, texts, dimensions=3, encoding_format="base64")
    for one, other in zip(plain["data"], packed["data"], strict=True):
        numbers = np.frombuffer(base64.b64decode(other["embedding"], validate=True), "<f4")
        np.testing.assert_allclose(numbers, one["embedding"], atol=1e-7)
        assert len(numbers) == 3


async def test_token_ids_are_taken_where_the_setting_allows(tmp_path: Path) -> None:
    write_text(tmp_path, "transformers/bert", 4, ENCODER)
    async with served(Settings(weights_dir=tmp_path, openai_token_ids=True)) as client:
        body = {"model": ENCODER, "inputs": ["the dog"]}
        (tokenized,) = (await client.post("/tokenize", json=body)).json()["outputs"]
        by_text = await embed(client, "the dog")
        assert by_text["usage"]["prompt_tokens"] == len(tokenized["ids"])
        assert (await embed(client, tokenized["ids"]))["data"] == by_text["data"]
        assert (await embed(client, [tokenized["ids"]]))["data"] == by_text["data"]
        error = await refusal(client, "/v1/embeddings", {"model": ENCODER, "input": [[1], [10**6]]})
        assert error["param"] == "input[1]"


@pytest.mark.parametrize(
    ("fields", "param", "detail"),
    [
        ({"input": []}, "input", "at least one text"),
        ({"input": None}, "input", "at least one text"),
        ({"input": 5}, "input", "at least one text"),
        ({"input": ""}, "input", "the text is empty"),
        ({"input": ["the", ""]}, "input[1]", "the text is empty"),
        ({"input": [1, 2]}, "input", "check_embedding_ctx_length=False"),
        ({"input": [[1], [2]]}, "input[0]", "MANIFOLD_OPENAI_TOKEN_IDS"),
        ({"input": [{"text": "the"}]}, "input[0]", "it must be a text"),
        ({"input": [[]]}, "input[0]", "it must be a text"),
        ({"input": [True]}, "input[0]", "it must be a text"),
        ({"input": ["the"] * 21}, "input", "20"),
        ({"input": "dog " * 100}, "input", f"this model takes 1 to {N_POSITIONS}"),
        ({"dimensions": 0}, "dimensions", "0 is refused"),
        ({"dimensions": 99}, "dimensions", "99"),
        ({"dimensions": "8"}, "dimensions", "'8' is refused"),
        ({"encoding_format": "int8"}, "encoding_format", "'int8' is refused"),
        ({"model": None}, "model", "required"),
        ({"model": TINY}, None, "of the kind image"),
        ({"model": SPLADE}, None, "sparse"),
        ({"truncate": True}, "truncate", "unknown field"),
    ],
    ids=str,
)
async def test_refused_embeddings(
    client: httpx.AsyncClient, fields: dict[str, Any], param: str | None, detail: str
) -> None:
    error = await refusal(client, "/v1/embeddings", {"model": ENCODER, "input": "the", **fields})
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, None)
    assert detail in error["message"]
    assert error["message"].startswith(f"{param}: " if param else fields["model"])
    assert "`truncate`" not in error["message"]


async def test_a_completion_is_that_of_generate(client: httpx.AsyncClient) -> None:
    parameters = {"max_new_tokens": 5, "logprobs": 2}
    body = {"model": GPT, "inputs": ["the dog"], "parameters": parameters}
    native = (await client.post("/generate", json=body)).json()
    (generation,) = native["outputs"][0]["generations"]
    answer = await complete(client, logprobs=2)
    (choice,) = answer["choices"]
    described = choice.pop("logprobs")
    assert choice == {"index": 0, "text": generation["text"], "finish_reason": "length"}
    assert described["token_logprobs"] == [token["logprob"] for token in generation["logprobs"]]
    assert described["tokens"] == [token["token_str"] for token in generation["logprobs"]]
    assert described["text_offset"][0] == len("the dog")
    assert described["text_offset"] == sorted(described["text_offset"])
    assert [max(top.values()) for top in described["top_logprobs"]] == described["token_logprobs"]
    n_read = native["usage"]["tokens"]
    assert answer["usage"] == {"prompt_tokens": n_read, "completion_tokens": 5, "total_tokens": n_read + 5}
    assert answer["id"].startswith("cmpl-")
    assert (answer["object"], answer["model"]) == ("text_completion", GPT)


async def test_sixteen_tokens_are_sampled_by_default(client: httpx.AsyncClient) -> None:
    names = set(OpenAICompletionsBody.model_fields) - {"model", "prompt"}
    neutral = dict.fromkeys(names)
    answers = [await complete(client, **neutral) for _ in range(3)]
    assert [answer["usage"]["completion_tokens"] for answer in answers] == [16] * 3
    assert len({answer["choices"][0]["text"] for answer in answers}) > 1
    taken = {"best_of": 1, "suffix": "", "logit_bias": {}, "stop": [], "stream": False}
    assert (await complete(client, **taken))["choices"] == (await complete(client))["choices"]


@pytest.mark.parametrize("seed", [5, -5, 2**62])
async def test_a_stream_of_several_prompts_says_what_the_whole_answer_says(
    client: httpx.AsyncClient, seed: int
) -> None:
    asked = {"prompt": ["the dog", "a cat", "the dog"], "n": 2, "temperature": 1.3, "seed": seed, "echo": True}
    whole = await complete(client, **asked)
    assert [choice["index"] for choice in whole["choices"]] == list(range(6))
    assert whole["choices"][2]["text"].startswith("a cat")
    *parts, last, done = await chunks(client, **asked, stream_options={"include_usage": True})
    assert done == "[DONE]"
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    texts, reasons = [""] * 6, [None] * 6
    for part in parts:
        (choice,) = part["choices"]
        assert part["usage"] is None
        assert reasons[choice["index"]] is None
        texts[choice["index"]] += choice["text"]
        reasons[choice["index"]] = choice["finish_reason"]
    assert texts == [choice["text"] for choice in whole["choices"]]
    assert reasons == [choice["finish_reason"] for choice in whole["choices"]]


async def test_log_probabilities_of_a_stream_are_those_of_the_whole_answer(client: httpx.AsyncClient) -> None:
    whole = (await complete(client, logprobs=0, stop="zzz"))["choices"][0]["logprobs"]
    streamed: dict[str, list[Any]] = {name: [] for name in whole}
    for part in (await chunks(client, logprobs=0, stop="zzz"))[:-1]:
        assert "usage" not in part
        for name, values in part["choices"][0]["logprobs"].items():
            streamed[name] += values
    assert streamed == whole
    assert all(len(top) == 1 for top in whole["top_logprobs"])


async def test_token_ids_are_prompts(client: httpx.AsyncClient) -> None:
    (tokenized,) = (await client.post("/tokenize", json={"model": GPT, "inputs": ["the dog"]})).json()["outputs"]
    by_text = await complete(client, echo=True)
    assert (await complete(client, prompt=tokenized["ids"], echo=True))["choices"] == by_text["choices"]
    both = await complete(client, prompt=[tokenized["ids"], tokenized["ids"]], echo=True)
    assert {choice["text"] for choice in both["choices"]} == {by_text["choices"][0]["text"]}


@pytest.mark.parametrize(
    ("fields", "param", "detail"),
    [
        ({"prompt": []}, "prompt", "at least one text"),
        ({"prompt": ["the", 5]}, "prompt[1]", "it must be a text"),
        ({"prompt": [10**9]}, "prompt", "unknown"),
        ({"prompt": "dog " * 100}, "prompt", "100 tokens"),
        ({"max_tokens": 0}, "max_tokens", "0 is refused"),
        ({"max_tokens": 10**18}, "max_tokens", "max_tokens is"),
        ({"n": 1000}, "n", "1000"),
        ({"best_of": 2}, "best_of", "the same as n"),
        ({"n": 3, "best_of": 2}, "best_of", "the same as n"),
        ({"suffix": "end"}, "suffix", "'end' is refused"),
        ({"logit_bias": {"5": 100}}, "logit_bias", "refused"),
        ({"logprobs": 6}, "logprobs", "6 is refused"),
        ({"logprobs": 1, "echo": True}, "logprobs", "/score-text"),
        ({"stop": list("abcde")}, "stop", "at most 4"),
        ({"stop": ""}, "stop", "at least 1"),
        ({"temperature": 2.1}, "temperature", "2.1 is refused"),
        ({"top_p": 1.1}, "top_p", "1.1 is refused"),
        ({"frequency_penalty": 3}, "frequency_penalty", "3 is refused"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "stream is not true"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation", "no"),
        ({"stream": True, "stream_options": {"other": True}}, "stream_options.other", "unknown field"),
        ({"stream": True, "max_tokens": 10**4}, "max_tokens", "10000"),
        ({"functions": []}, "functions", "unknown field"),
        ({"model": ENCODER}, None, "does not serve generate"),
    ],
    ids=str,
)
async def test_refused_completions(
    client: httpx.AsyncClient, fields: dict[str, Any], param: str | None, detail: str
) -> None:
    error = await refusal(client, "/v1/completions", {**PROMPT, **fields})
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, None)
    assert detail in error["message"]


async def test_errors_of_every_kind_have_the_form_of_the_dialect(client: httpx.AsyncClient) -> None:
    for path in ("/v1/embeddings", "/v1/completions"):
        error = await refusal(
            client, path, {"model": "org/nobody", "input": "a"} if "emb" in path else {"model": "x/y"}, 404
        )
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "model_not_found")
        assert (await refusal(client, path, b"{", 400))["type"] == "invalid_request_error"
        assert (await refusal(client, path, b"[" * 5000, 400))["type"] == "invalid_request_error"
        assert (await refusal(client, path, b"[]", 400))["param"] is None
    chat = await refusal(client, "/v1/chat/completions", {}, 404)
    assert "/v1/completions" in chat["message"]
    assert (await refusal(client, "/v1/responses", {}, 404))["code"] == "unknown_url"
    answer = await client.post("/v1/completions", json=PROMPT, headers={"origin": "http://evil.example"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")
    answer = await client.put("/v1/models")
    assert (answer.status_code, answer.json()["error"]["type"]) == (405, "invalid_request_error")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(401, "authentication_error", "invalid_api_key"), (403, "permission_error", None), (500, "server_error", None)],
)
async def test_kinds_of_errors_by_status(status: int, kind: str, code: str | None) -> None:
    """The statuses are those of refusals without a key, or of a key that may not do this, and of failures."""
    answered, content = render_error(Problem(name="RouteError", status=status, detail="no"))
    assert answered == status
    assert content == {"error": {"message": "no", "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize("name", ["QueueFull", "RateLimited"])
def test_a_client_that_sends_too_much_gets_one_code_whatever_the_limit(name: str) -> None:
    _, content = render_error(Problem(name=name, status=429, detail="too many"))
    assert (content["error"]["type"], content["error"]["code"]) == ("rate_limit_error", "rate_limit_exceeded")


async def test_lone_surrogates_are_answered_as_replacement_characters(client: httpx.AsyncClient) -> None:
    for stream in (False, True):
        body = {**PROMPT, "prompt": "the \ud800 dog", "echo": True, "stream": stream}
        answer = await client.post("/v1/completions", content=json.dumps(body))
        assert answer.status_code == 200
        assert "the \ufffd dog" in answer.text
    refused = await client.post("/v1/completions", content=b'{"\\ud800": 1, "model": "\\udfff"}')
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "\ufffd")


async def test_a_busy_or_unloaded_model_says_when_to_try_again(tmp_path: Path) -> None:
    write_text(tmp_path, "transformers/gpt", name=GPT)
    async with served(Settings(weights_dir=tmp_path, max_items=4, max_queue_items=4)) as client:
        full = {**PROMPT, "prompt": ["the dog"] * 4, "max_tokens": 50, "n": 64}
        answers = await asyncio.gather(*(client.post("/v1/completions", json=full) for _ in range(6)))
        busy = next(answer for answer in answers if answer.status_code == 429)
        assert int(busy.headers["retry-after"]) >= 1
        assert busy.json()["error"]["type"] == "rate_limit_error"
        assert busy.json()["error"]["code"] == "rate_limit_exceeded"
        await client.post(f"/models/{GPT}/unload")
        answer = await client.post("/v1/completions", json=PROMPT)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert (answer.json()["error"]["type"], answer.json()["error"]["code"]) == ("server_error", "model_unavailable")
        model = (await client.get(f"/v1/models/{GPT}")).json()
        assert (model["name"], model["ready"]) == (GPT, False)


async def test_an_error_in_the_middle_of_a_stream_is_its_last_event(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> dict[str, int]:
        raise InferenceFailed("the forward pass failed")

    monkeypatch.setattr("app.routes.openai.completions.stream_usage", fail)
    *parts, last = await chunks(client, stream_options={"include_usage": True})
    assert len(parts) > 1
    assert last["error"]["message"] == "the forward pass failed"
    assert last["error"]["type"] == "server_error"


async def test_models(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()
    assert listed["object"] == "list"
    models = {model["id"]: model for model in listed["data"]}
    assert set(models) == {ENCODER, GPT, SPLADE, TINY}
    one = (await client.get(f"/v1/models/{GPT}")).json()
    assert one == models[GPT]
    assert (one["object"], one["name"], one["ready"]) == ("model", GPT, True)
    assert one["created"] > 10**9
    for path in ("/v1/models/nobody", "/v1/models/org/nobody", "/v1/models/org%2Fnobody"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
