"""The client `openai`, unchanged, against a server with the shipped checkpoints."""

import asyncio
import base64
import math
import os
import struct
from collections.abc import Iterator

import httpx2
import openai
import pytest

URL = os.environ["MANIFOLD_URL"]
SENTENCES, GPT, TRANSLATOR = "sentence-mini-en", "gpt-mini-en", "transformer-multi30k-en-de"


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0) as client:
        yield client


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def test_embeddings_of_several_texts(client: openai.OpenAI) -> None:
    texts = ["A dog runs.", "A puppy is running.", "The bank raised its rates."]
    answer = client.embeddings.create(model=SENTENCES, input=texts)
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert answer.model == SENTENCES
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > len(texts)
    first, second, third = (item.embedding for item in answer.data)
    assert math.isclose(math.hypot(*first), 1, rel_tol=1e-5)
    assert cosine(first, second) > cosine(first, third)


def test_the_clients_own_base64_says_the_same_as_numbers(client: openai.OpenAI) -> None:
    packed = client.embeddings.create(model=SENTENCES, input="A dog runs.").data[0].embedding
    plain = client.embeddings.create(model=SENTENCES, input="A dog runs.", encoding_format="float").data[0].embedding
    assert len(packed) == len(plain)
    assert packed == pytest.approx(plain, abs=1e-7)


def test_base64_is_of_little_endian_floats(client: openai.OpenAI) -> None:
    given = client.embeddings.create(model=SENTENCES, input="A dog runs.", encoding_format="base64").data[0].embedding
    assert isinstance(given, str)
    data = base64.b64decode(given)
    plain = client.embeddings.create(model=SENTENCES, input="A dog runs.", encoding_format="float").data[0].embedding
    assert struct.unpack(f"<{len(data) // 4}f", data) == pytest.approx(plain, abs=1e-7)


def test_dimensions_cut_and_scale_anew(client: openai.OpenAI) -> None:
    whole = client.embeddings.create(model=SENTENCES, input="A dog runs.").data[0].embedding
    cut = client.embeddings.create(model=SENTENCES, input="A dog runs.", dimensions=8).data[0].embedding
    assert len(cut) == 8
    assert math.isclose(math.hypot(*cut), 1, rel_tol=1e-5)
    assert cosine(cut, whole[:8]) > 0.99999


def test_many_clients_at_once() -> None:
    async def ask() -> list[list[float]]:
        async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="none") as client:
            asked = (client.embeddings.create(model=SENTENCES, input=f"Text {number % 4}.") for number in range(24))
            return [answer.data[0].embedding for answer in await asyncio.gather(*asked)]

    vectors = asyncio.run(ask())
    for number, vector in enumerate(vectors):
        assert vector == pytest.approx(vectors[number % 4], abs=1e-5)


def test_a_completion(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=GPT, prompt="Once upon a time", temperature=0, max_tokens=8)
    assert answer.object == "text_completion"
    assert answer.id.startswith("cmpl-")
    (choice,) = answer.choices
    assert choice.text
    assert (choice.index, choice.finish_reason) == (0, "length")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8


def test_sixteen_tokens_are_sampled_unless_the_request_says_otherwise(client: openai.OpenAI) -> None:
    texts = set()
    for _ in range(3):
        answer = client.completions.create(model=GPT, prompt="Once upon a time")
        assert answer.usage is not None
        assert answer.usage.completion_tokens <= 16
        texts.add(answer.choices[0].text)
    assert len(texts) > 1


def test_a_seed_gives_the_same_texts_again(client: openai.OpenAI) -> None:
    texts = [client.completions.create(model=GPT, prompt="Once", seed=-7, n=3).choices for _ in range(2)]
    assert [choice.text for choice in texts[0]] == [choice.text for choice in texts[1]]
    assert len({choice.text for choice in texts[0]}) > 1


def test_choices_of_several_prompts_come_in_order(client: openai.OpenAI) -> None:
    prompts = ["The dog", "A king"]
    answer = client.completions.create(model=GPT, prompt=prompts, n=2, best_of=2, echo=True, max_tokens=4, seed=1)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text.startswith(prompts[choice.index // 2]) for choice in answer.choices] == [True] * 4


def test_a_stop_string_ends_a_text(client: openai.OpenAI) -> None:
    whole = client.completions.create(model=GPT, prompt="Once upon a time", temperature=0, max_tokens=8).choices[0].text
    stop = whole.split()[-1]
    cut = client.completions.create(model=GPT, prompt="Once upon a time", temperature=0, max_tokens=8, stop=[stop])
    assert cut.choices[0].text == whole[: whole.index(stop)]
    assert cut.choices[0].finish_reason == "stop"


def test_log_probabilities(client: openai.OpenAI) -> None:
    prompt = "Once upon a time"
    choice = client.completions.create(model=GPT, prompt=prompt, temperature=0, max_tokens=5, logprobs=3).choices[0]
    described = choice.logprobs
    assert described is not None
    assert described.tokens
    assert described.token_logprobs
    assert described.top_logprobs
    assert described.text_offset
    assert "".join(described.tokens) == choice.text
    whole = prompt + choice.text
    for token, logprob, top, offset in zip(
        described.tokens, described.token_logprobs, described.top_logprobs, described.text_offset, strict=True
    ):
        assert whole[offset:].startswith(token)
        assert logprob == top[token] == max(top.values()) <= 0
        assert len(top) == 3


@pytest.mark.parametrize("n", [1, 3])
def test_a_stream_says_what_the_whole_answer_says(client: openai.OpenAI, n: int) -> None:
    asked = {"model": GPT, "prompt": ["Once upon", "The dog"], "seed": 3, "max_tokens": 9, "n": n, "echo": True}
    whole = client.completions.create(**asked)
    texts: dict[int, str] = {}
    reasons: dict[int, str] = {}
    chunks = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    for chunk in chunks[:-1]:
        (choice,) = chunk.choices
        assert choice.index not in reasons
        assert chunk.usage is None
        texts[choice.index] = texts.get(choice.index, "") + choice.text
        if choice.finish_reason is not None:
            reasons[choice.index] = choice.finish_reason
    assert texts == {choice.index: choice.text for choice in whole.choices}
    assert reasons == {choice.index: choice.finish_reason for choice in whole.choices}
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_an_asynchronous_stream(client: openai.OpenAI) -> None:
    async def ask() -> str:
        async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="none") as client:
            stream = await client.completions.create(model=GPT, prompt="Once", temperature=0, stream=True)
            return "".join([chunk.choices[0].text async for chunk in stream])

    assert asyncio.run(ask()) == client.completions.create(model=GPT, prompt="Once", temperature=0).choices[0].text


def test_a_stream_may_be_left(client: openai.OpenAI) -> None:
    with client.completions.create(model=GPT, prompt="Once", max_tokens=200, stream=True) as stream:
        assert next(stream).choices
    assert client.completions.create(model=GPT, prompt="Once", max_tokens=1).choices


def test_token_ids_as_a_prompt(client: openai.OpenAI) -> None:
    body = b'{"model": "gpt-mini-en", "inputs": ["Once upon a time"]}'
    with httpx2.Client() as native:  # which the client brings with it
        ids = native.post(f"{URL}/tokenize", content=body).json()["outputs"][0]["ids"]
    by_ids = client.completions.create(model=GPT, prompt=ids, temperature=0, echo=True)
    by_text = client.completions.create(model=GPT, prompt="Once upon a time", temperature=0, echo=True)
    assert by_ids.choices[0].text == by_text.choices[0].text


def test_a_translator_completes_by_translating(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=TRANSLATOR, prompt="A man is riding a bike.", temperature=0)
    assert "Mann" in answer.choices[0].text


def test_models(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert {SENTENCES, GPT, "vae-mnist"} <= set(models)
    one = client.models.retrieve(GPT)
    assert one == models[GPT]
    assert one.object == "model"
    assert one.created > 1_000_000_000


@pytest.mark.parametrize(
    ("asked", "error", "param", "code"),
    [
        ({"model": "nobody"}, openai.NotFoundError, "model", "model_not_found"),
        ({"model": "org/nobody"}, openai.NotFoundError, "model", "model_not_found"),
        ({"model": SENTENCES}, openai.BadRequestError, None, None),
        ({"max_tokens": 0}, openai.BadRequestError, "max_tokens", None),
        ({"max_tokens": 9999}, openai.BadRequestError, "max_tokens", None),
        ({"temperature": 2.5}, openai.BadRequestError, "temperature", None),
        ({"n": 1000}, openai.BadRequestError, "n", None),
        ({"best_of": 4}, openai.BadRequestError, "best_of", None),
        ({"suffix": "end"}, openai.BadRequestError, "suffix", None),
        ({"logit_bias": {"5": 1}}, openai.BadRequestError, "logit_bias", None),
        ({"logprobs": 6}, openai.BadRequestError, "logprobs", None),
        ({"logprobs": 1, "echo": True}, openai.BadRequestError, "logprobs", None),
        ({"stop": list("abcde")}, openai.BadRequestError, "stop", None),
        ({"prompt": []}, openai.BadRequestError, "prompt", None),
        ({"prompt": ["dog", 3]}, openai.BadRequestError, "prompt[1]", None),
        ({"prompt": [99999]}, openai.BadRequestError, "prompt", None),
        ({"prompt": "dog " * 400}, openai.BadRequestError, "prompt", None),
        ({"extra_body": {"tools": []}}, openai.BadRequestError, "tools", None),
        ({"extra_headers": {"x-timeout-ms": "1"}, "max_tokens": 200}, openai.InternalServerError, None, "timeout"),
        ({"extra_headers": {"origin": "http://evil.example"}}, openai.PermissionDeniedError, None, None),
        ({"extra_headers": {"content-encoding": "br"}}, openai.APIStatusError, None, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals_of_completions(
    client: openai.OpenAI, asked: dict, error: type[openai.APIStatusError], param: str, code: str, stream: bool
) -> None:
    with pytest.raises(error) as caught:
        client.completions.create(**{"model": GPT, "prompt": "dog", "stream": stream, **asked})
    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.message
    assert caught.value.type in ("invalid_request_error", "server_error", "permission_error")
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": [5, 6]}, "input"),
        ({"input": [[5, 6]]}, "input[0]"),
        ({"input": ["short", "long " * 500]}, "input[1]"),
        ({"input": ["a"] * 1025}, "input"),
        ({"dimensions": 100000}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"model": "vae-mnist"}, None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_refusals_of_embeddings(client: openai.OpenAI, asked: dict, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(**{"model": SENTENCES, "input": "dog", **asked})
    assert caught.value.param == param
    assert "`truncate`" not in caught.value.message


def test_options_of_a_stream_are_refused_without_one(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=GPT, prompt="dog", stream_options={"include_usage": True})
    assert caught.value.param == "stream_options"


def test_chats_are_not_served(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="/v1/completions") as caught:
        client.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "Hello"}])
    assert caught.value.type == "invalid_request_error"
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=GPT, input="Hello")


def test_a_busy_server_asks_to_try_again_and_the_client_does() -> None:
    n_items = 1024
    fill = {"model": GPT, "prompt": ["Once upon a time"] * n_items, "max_tokens": 1, "temperature": 0}

    async def ask() -> tuple[openai.RateLimitError, openai.types.Completion]:
        async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0) as client:
            asked = [asyncio.create_task(client.completions.create(**fill)) for _ in range(5)]
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_EXCEPTION)
            (refused, *_) = (task for task in done if task.exception() is not None)
            again = await client.with_options(max_retries=5).completions.create(**fill)
            await asyncio.gather(*asked, return_exceptions=True)
            error = refused.exception()
            assert isinstance(error, openai.RateLimitError)
            return error, again

    error, again = asyncio.run(ask())
    assert int(error.response.headers["retry-after"]) >= 1
    assert (error.type, error.code) == ("rate_limit_error", "rate_limit_exceeded")
    assert len(again.choices) == n_items
