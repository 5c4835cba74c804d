"""The client `ollama`, unchanged, against a server with the shipped checkpoints."""

import asyncio
import math
import os

import ollama
import pytest

URL = os.environ["MANIFOLD_URL"]
SENTENCES, GPT = "sentence-mini-en", "gpt-mini-en"
GREEDY = {"temperature": 0, "num_predict": 8}


@pytest.fixture(scope="module")
def client() -> ollama.Client:
    return ollama.Client(host=URL)


def test_embeddings_of_several_texts(client: ollama.Client) -> None:
    answer = client.embed(model=SENTENCES, input=["A dog runs.", "The bank raised its rates."])
    assert len(answer.embeddings) == 2
    assert all(math.isclose(math.hypot(*vector), 1, rel_tol=1e-5) for vector in answer.embeddings)
    assert answer.model == SENTENCES
    assert answer.prompt_eval_count
    assert answer.total_duration


def test_one_text_a_tag_and_options(client: ollama.Client) -> None:
    plain = client.embed(model=SENTENCES, input="A dog runs.").embeddings
    options = ollama.Options(num_ctx=2048, num_thread=4, temperature=0.5)
    tagged = client.embed(model=f"{SENTENCES}:latest", input="A dog runs.", options=options, keep_alive="5m")
    assert tagged.embeddings[0] == pytest.approx(plain[0], abs=1e-6)


def test_long_texts_are_cut_unless_the_client_says_otherwise(client: ollama.Client) -> None:
    assert len(client.embed(model=SENTENCES, input="dog " * 900).embeddings) == 1
    with pytest.raises(ollama.ResponseError, match="902 tokens") as caught:
        client.embed(model=SENTENCES, input="dog " * 900, truncate=False)
    assert caught.value.status_code == 400


def test_dimensions(client: ollama.Client) -> None:
    (vector,) = client.embed(model=SENTENCES, input="A dog runs.", dimensions=8).embeddings
    assert len(vector) == 8
    assert math.isclose(math.hypot(*vector), 1, rel_tol=1e-5)


def test_the_older_form_of_embeddings(client: ollama.Client) -> None:
    vector = client.embeddings(model=SENTENCES, prompt="A dog runs.").embedding
    assert vector == pytest.approx(client.embed(model=SENTENCES, input="A dog runs.").embeddings[0], abs=1e-6)


def test_nothing_has_no_embedding(client: ollama.Client) -> None:
    assert client.embed(model=SENTENCES, input="").embeddings == []
    assert client.embed(model=SENTENCES, input=[]).embeddings == []
    assert client.embeddings(model=SENTENCES, prompt="").embedding == []


def test_generation(client: ollama.Client) -> None:
    answer = client.generate(model=GPT, prompt="Once upon a time", options=GREEDY, raw=True, keep_alive=-1)
    assert answer.response
    assert answer.done
    assert answer.done_reason == "length"
    assert (answer.prompt_eval_count, answer.eval_count) == (5, 8)
    assert answer.eval_duration
    assert answer.created_at


def test_a_stream_says_what_the_whole_answer_says(client: ollama.Client) -> None:
    whole = client.generate(model=GPT, prompt="Once upon a time", options=GREEDY)
    parts = list(client.generate(model=GPT, prompt="Once upon a time", options=GREEDY, stream=True))
    assert "".join(part.response or "" for part in parts) == whole.response
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert len(parts) > 3
    assert (parts[-1].done_reason, parts[-1].eval_count) == ("length", 8)


def test_an_asynchronous_stream(client: ollama.Client) -> None:
    async def ask() -> str:
        stream = await ollama.AsyncClient(host=URL).generate(model=GPT, prompt="Once", options=GREEDY, stream=True)
        return "".join([part.response or "" async for part in stream])

    assert asyncio.run(ask()) == client.generate(model=GPT, prompt="Once", options=GREEDY).response


def test_a_seed_gives_the_same_text_again(client: ollama.Client) -> None:
    options = {"seed": 42, "temperature": 1.2, "top_k": 50, "top_p": 0.95, "min_p": 0.01, "repeat_penalty": 1.1}
    texts = [client.generate(model=GPT, prompt="Once", options=options).response for _ in range(2)]
    assert texts[0] == texts[1]
    assert texts[0] != client.generate(model=GPT, prompt="Once", options={**options, "seed": 43}).response


def test_a_stop_string_ends_a_text(client: ollama.Client) -> None:
    whole = client.generate(model=GPT, prompt="Once upon a time", options=GREEDY).response or ""
    stop = whole.split()[-1]
    cut = client.generate(model=GPT, prompt="Once upon a time", options={**GREEDY, "stop": [stop]})
    assert cut.response == whole[: whole.index(stop)]
    assert cut.done_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities(client: ollama.Client, stream: bool) -> None:
    answer = client.generate(
        model=GPT, prompt="Once upon a time", options=GREEDY, logprobs=True, top_logprobs=2, stream=stream
    )
    tokens = [token for part in (answer if stream else [answer]) for token in part.logprobs or []]
    assert len(tokens) == 8
    for token in tokens:
        assert token.top_logprobs
        assert token.logprob == max(other.logprob for other in token.top_logprobs)


def test_an_empty_prompt_asks_whether_the_model_is_loaded(client: ollama.Client) -> None:
    answer = client.generate(model=GPT)
    assert (answer.response, answer.done, answer.done_reason) == ("", True, "load")


def test_models(client: ollama.Client) -> None:
    models = {model.model: model for model in client.list().models}
    one = models[GPT]
    assert one.size
    assert one.size > 1_000_000
    assert one.digest
    assert one.modified_at
    assert one.details
    assert one.details.family == "gpt"
    assert GPT in {model.model for model in client.ps().models}


def test_what_a_model_can_do(client: ollama.Client) -> None:
    shown = client.show(SENTENCES)
    assert shown.capabilities == ["embedding"]
    assert shown.modelinfo
    assert shown.modelinfo["bert.context_length"] == 128
    assert shown.modelinfo["bert.embedding_length"] == 256
    assert "completion" in (client.show(f"{GPT}:latest").capabilities or [])


@pytest.mark.parametrize(
    ("asked", "status", "detail"),
    [
        ({"model": "nobody"}, 404, "nobody"),
        ({"model": "llama3:8b"}, 404, "llama3:8b"),
        ({"model": SENTENCES}, 400, "does not serve generate"),
        ({"prompt": "dog " * 900}, 400, "prompt"),
        ({"suffix": "end"}, 400, "suffix"),
        ({"system": "Be brief."}, 400, "system"),
        ({"context": [1, 2]}, 400, "context"),
        ({"format": "json"}, 400, "format"),
        ({"think": True}, 400, "think"),
        ({"keep_alive": 0}, 400, "keep_alive"),
        ({"top_logprobs": 2}, 400, "top_logprobs"),
        ({"options": {"num_predict": -1}}, 400, "options.num_predict"),
        ({"options": {"num_predict": 9999}}, 400, "options.num_predict"),
        ({"options": {"num_ctx": 16}}, 400, "options.num_ctx"),
        ({"options": {"mirostat": 2}}, 400, "options.mirostat"),
        ({"options": {"repeat_penalty": 1.2, "repeat_last_n": 64}}, 400, "options.repeat_last_n"),
        ({"options": {"temperatur": 1}}, 400, "options.temperatur"),
    ],
    ids=str,
)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals(client: ollama.Client, asked: dict, status: int, detail: str, stream: bool) -> None:
    def ask() -> list[ollama.GenerateResponse]:
        answer = client.generate(**{"model": GPT, "prompt": "dog", "stream": stream, **asked})
        return list(answer) if stream else [answer]

    with pytest.raises(ollama.ResponseError) as caught:
        ask()
    assert caught.value.status_code == status
    assert detail in caught.value.error


def test_chats_are_not_served(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="/api/generate") as caught:
        client.chat(model=GPT, messages=[{"role": "user", "content": "Hello"}])
    assert caught.value.status_code == 404
