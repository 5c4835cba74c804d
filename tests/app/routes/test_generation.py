"""Generation over HTTP, on a real server: streams, company, clients that leave, texts that end."""

import asyncio
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.server import Served, serve
from tests.app.texts import N_POSITIONS, write_text

pytestmark = pytest.mark.anyio

N_CLIENTS = 50
SLOW = {"width": 256, "n_heads": 4, "inner_width": 1024, "n_layers": 4, "n_positions": 4096}
"""So that a text of its whole context takes long enough to be left."""
SAMPLING = {"do_sample": True, "temperature": 0.8, "top_k": 9, "max_new_tokens": 7, "repetition_penalty": 1.3}
SEARCHING = {"num_beams": 3, "max_new_tokens": 6, "length_penalty": 0.5, "no_repeat_ngram_size": 2}
TUNED = (
    ("samples", "transformers/gpt", SAMPLING),
    ("searches", "transformers/gpt", SEARCHING),
    ("translates", "transformers/vanilla", {"num_beams": 2, "max_length": 7, "repetition_penalty": 1.5}),
)
"""Models like the others, whose checkpoints have preferences."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    weights = tmp_path_factory.mktemp("weights")
    write_text(weights, "transformers/gpt")
    write_text(weights, "transformers/vanilla")
    write_text(weights, "transformers/gpt", name="slow", **SLOW)
    for name, family, preferences in TUNED:
        folder = write_text(weights, family, name=name)
        (folder / "generation_config.json").write_text(json.dumps(preferences))
    with serve(
        tmp_path_factory.mktemp("log"), "--torch-threads", "1", "--max-running-sequences", "16", weights=weights
    ) as served:
        yield served


def ask(
    server: Served, item: Any = "the dog", model: str = "gpt-0", route: str = "/generate", **parameters: Any
) -> Any:
    body = {"model": model, "inputs": [item], "parameters": parameters}
    return httpx.post(server.url + route, json=body, timeout=60)


def generations(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["outputs"][0]["generations"]
    return found


async def streamed(client: httpx.AsyncClient, body: dict[str, Any]) -> list[dict[str, Any]]:
    async with client.stream("POST", "/generate", json=body) as answer:
        assert answer.status_code == 200
        return [json.loads(line[6:]) async for line in answer.aiter_lines() if line.startswith("data: ")]


def joined(events: list[dict[str, Any]]) -> dict[int, str]:
    texts: dict[int, str] = {}
    for event in events[:-1]:
        texts[event["generation"]] = texts.get(event["generation"], "") + event["text"]
    return texts


async def running(client: httpx.AsyncClient, model: str) -> int:
    return int((await client.get(f"/models/{model}")).json()["running_sequences"])


async def test_fifty_streams_at_once_say_what_each_says_alone(server: Served) -> None:
    parameters: list[dict[str, Any]] = [
        {"max_new_tokens": 5 + 7 * seed % 40, "temperature": 1.2, "seed": seed, "n": 1 + seed % 3}
        for seed in range(N_CLIENTS)
    ]
    bodies = [{"model": "gpt-0", "inputs": ["the red dog " * (1 + p["seed"] % 4)], "parameters": p} for p in parameters]
    async with httpx.AsyncClient(
        base_url=server.url, timeout=60, limits=httpx.Limits(max_connections=N_CLIENTS)
    ) as client:
        alone = [(await client.post("/generate", json=body)).json()["outputs"][0]["generations"] for body in bodies]
        streams = [
            {**body, "parameters": {**given, "stream": True}} for body, given in zip(bodies, parameters, strict=True)
        ]
        together = await asyncio.gather(*(streamed(client, body) for body in streams))
        assert await running(client, "gpt-0") == 0
    for texts, events in zip(alone, together, strict=True):
        assert joined(events) == {number: one["text"] for number, one in enumerate(texts)}
        assert {event["finish_reason"] for event in events[:-1]} <= {None, "length", "stop"}
        assert sum(event["finish_reason"] is not None for event in events[:-1]) == len(texts)
        assert events[-1]["usage"]["generated_tokens"] == sum(len(one["tokens"]) for one in texts)


async def test_a_client_that_leaves_frees_its_place_for_the_next_step(server: Served) -> None:
    body = {"model": "slow", "inputs": ["the dog"], "parameters": {"max_new_tokens": 4000, "n": 4, "stream": True}}
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        async with client.stream("POST", "/generate", json=body, headers={"x-timeout-ms": "300000"}) as answer:
            lines = answer.aiter_lines()
            assert (await anext(lines)).startswith("data: ")
            assert await running(client, "slow") == 4
        n_seen = 0
        while await running(client, "slow"):
            n_seen += 1
            assert n_seen < 20_000, "the texts of a client that left go on"
        quick = await client.post(
            "/generate", json={"model": "slow", "inputs": ["a"], "parameters": {"max_new_tokens": 3}}
        )
        assert quick.json()["usage"]["generated_tokens"] == 3


async def test_a_client_that_leaves_without_a_stream_frees_its_place_too(server: Served) -> None:
    body = {"model": "slow", "inputs": ["the dog"], "parameters": {"max_new_tokens": 4000}}
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/generate", json=body, timeout=httpx.Timeout(60, read=0.5))
        n_seen = 0
        while await running(client, "slow"):
            n_seen += 1
            assert n_seen < 20_000, "the text of a client that left goes on"


async def test_a_client_that_leaves_before_the_first_event_is_noticed(server: Served) -> None:
    long = {"model": "slow", "inputs": ["the dog"], "parameters": {"max_new_tokens": 4000, "n": 16, "stream": True}}
    async with httpx.AsyncClient(base_url=server.url, timeout=60, headers={"x-timeout-ms": "300000"}) as client:
        async with client.stream("POST", "/generate", json=long) as answer:
            lines = answer.aiter_lines()  # kept: a forgotten iterator closes the stream
            assert (await anext(lines)).startswith("data: ")
            with pytest.raises(httpx.ReadTimeout):
                await client.post("/generate", json=long, timeout=httpx.Timeout(60, read=0.5))
            n_seen = 0
            while (await client.get("/models/slow")).json()["queued_items"]:
                n_seen += 1
                assert n_seen < 20_000, "the request of a client that left still waits"
        while await running(client, "slow"):
            n_seen += 1
            assert n_seen < 20_000, "the texts of a client that left go on"


async def test_other_work_is_done_beside_a_long_text(server: Served) -> None:
    body = {"model": "slow", "inputs": ["the dog"], "parameters": {"max_new_tokens": 4000, "stream": True}}
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=60) as client,
        client.stream("POST", "/generate", json=body, headers={"x-timeout-ms": "300000"}) as answer,
    ):
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith("data: ")
        vector = await client.post("/encode", json={"model": "slow", "inputs": ["a cat"]})
        assert vector.status_code == 200
        assert await running(client, "slow") == 1


async def test_the_deadline_ends_a_stream_with_an_error(server: Served) -> None:
    body = {"model": "slow", "inputs": ["the dog"], "parameters": {"max_new_tokens": 4000, "stream": True}}
    async with httpx.AsyncClient(base_url=server.url, timeout=60, headers={"x-timeout-ms": "700"}) as client:
        events = await streamed(client, body)
        assert events[-1]["error"]["type"] == "/errors/deadline-exceeded"
        assert events[-1]["error"]["status"] == 504


def test_a_stop_string_ends_a_text_and_is_no_part_of_it(server: Served) -> None:
    whole = generations(ask(server, max_new_tokens=30))[0]["text"]
    words = whole.split()
    stop = f"{words[2][-1]} {words[3][:2]}"  # from within one token into the next
    (cut,) = generations(ask(server, max_new_tokens=30, stop=[stop, "never"]))
    assert cut["text"] == whole[: whole.index(stop)]
    assert cut["finish_reason"] == "stop"
    (untouched,) = generations(ask(server, max_new_tokens=30, stop="never"))
    assert (untouched["text"], untouched["finish_reason"]) == (whole, "length")


def test_a_seed_decides_and_is_told(server: Served) -> None:
    drawn: dict[str, Any] = {"temperature": 1.5, "max_new_tokens": 12, "n": 3}
    once, again = (generations(ask(server, seed=5, **drawn)) for _ in range(2))
    assert once == again
    assert len({one["text"] for one in once}) == 3
    (first,) = generations(ask(server, seed=5, **{**drawn, "n": 1}))
    assert first == once[0]
    free = generations(ask(server, **drawn))
    assert generations(ask(server, seed=free[0]["seed"], **drawn)) == free


@pytest.mark.parametrize(("model", "beams"), [("gpt-0", 1), ("gpt-0", 3), ("vanilla-0", 1), ("vanilla-0", 3)], ids=str)
def test_bad_words_and_repetitions_are_not_generated(server: Served, model: str, beams: int) -> None:
    common: dict[str, Any] = {"max_new_tokens": 20, "num_beams": beams}
    (free,) = generations(ask(server, model=model, **common))
    words = free["text"].split()
    bad = [words[0], f"{words[1]} {words[2]}"]
    (cleaned,) = generations(ask(server, model=model, bad_words=bad, **common))
    text = f" {' '.join(cleaned['text'].split())} "
    assert not [word for word in bad if f" {word} " in text]
    (unrepeated,) = generations(ask(server, model=model, no_repeat_ngram_size=2, **common))
    pairs = list(pairwise(unrepeated["tokens"]))
    assert len(pairs) == len(set(pairs))


def test_parameters_of_sampling_turn_it_on(server: Served) -> None:
    (greedy,) = generations(ask(server, max_new_tokens=20))
    sampling: tuple[dict[str, Any], ...] = ({"min_p": 0.0}, {"typical_p": 0.99})
    for parameters in sampling:
        drawn = generations(ask(server, max_new_tokens=20, seed=3, n=4, **parameters))
        assert {text["text"] for text in drawn} != {greedy["text"]}
    (only,) = generations(ask(server, max_new_tokens=20, min_p=1.0))
    assert only["text"] == greedy["text"]


def test_penalties_change_what_is_generated(server: Served) -> None:
    (plain,) = generations(ask(server, max_new_tokens=20))
    for name in ("presence_penalty", "frequency_penalty"):
        high: dict[str, Any] = {name: 2.0}
        low: dict[str, Any] = {name: -2.0}
        (more,) = generations(ask(server, max_new_tokens=20, **high))
        (less,) = generations(ask(server, max_new_tokens=20, **low))
        assert len(set(less["tokens"])) <= len(set(plain["tokens"])) <= len(set(more["tokens"]))


def test_logprobs_and_beams(server: Served) -> None:
    (greedy,) = generations(ask(server, max_new_tokens=6, logprobs=3))
    for token, described in zip(greedy["tokens"], greedy["logprobs"], strict=True):
        assert described["token"] == token == described["top"][0]["token"]
        assert described["logprob"] == pytest.approx(described["top"][0]["logprob"])
    beams = generations(ask(server, max_new_tokens=6, num_beams=4, n=4))
    scores = [beam["score"] for beam in beams]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] >= sum(one["logprob"] for one in greedy["logprobs"]) / 6


def test_translations_count_their_tokens(server: Served) -> None:
    answer = ask(server, "the dog runs", "vanilla-0", "/translate", max_new_tokens=9)
    assert answer.status_code == 200
    assert answer.json()["usage"] == {"items": 1, "tokens": 4, "generated_tokens": 9}
    (same,) = ask(server, "the dog runs", "vanilla-0", "/translate", max_new_tokens=9).json()["outputs"]
    assert [same] == answer.json()["outputs"]


@pytest.mark.parametrize(
    ("model", "given", "same"),
    [
        ("samples", {}, SAMPLING),
        ("samples", {"top_k": 3}, SAMPLING | {"top_k": 3}),
        ("samples", {"do_sample": False}, {"max_new_tokens": 7, "repetition_penalty": 1.3}),
        ("samples", {"num_beams": 2}, {"max_new_tokens": 7, "repetition_penalty": 1.3, "num_beams": 2}),
        ("searches", {}, SEARCHING),
        ("searches", {"n": 2, "max_new_tokens": 9}, SEARCHING | {"n": 2, "max_new_tokens": 9}),
        ("searches", {"temperature": 0.9}, {"temperature": 0.9, "max_new_tokens": 6, "no_repeat_ngram_size": 2}),
        ("searches", {"num_beams": 1, "no_repeat_ngram_size": 0}, {"max_new_tokens": 6}),
    ],
    ids=str,
)
def test_a_checkpoint_fills_in_what_a_request_leaves_out(
    server: Served, model: str, given: dict[str, Any], same: dict[str, Any]
) -> None:
    tuned, plain = ask(server, model=model, seed=1, **given), ask(server, seed=1, **same)
    assert generations(tuned) == generations(plain)


async def test_a_stream_takes_no_beams_from_the_checkpoint(server: Served) -> None:
    body = {"model": "searches", "inputs": ["the dog"], "parameters": {"stream": True}}
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        events = await streamed(client, body)
    (plain,) = generations(ask(server, num_beams=1, max_new_tokens=6, no_repeat_ngram_size=2))
    assert [event["token"] for event in events[:-1]] == plain["tokens"]


def test_translations_have_the_defaults_of_the_checkpoint_too(server: Served) -> None:
    tuned = ask(server, "the dog runs", "translates", "/translate").json()
    assert tuned["usage"]["generated_tokens"] <= 6
    again = ask(server, "the dog runs", "translates", "/translate", num_beams=2, max_new_tokens=6).json()
    assert tuned == again
    assert ask(server, "the dog runs", "vanilla-0", "/translate").json() == ask(
        server, "the dog runs", "vanilla-0", "/translate", num_beams=5, length_penalty=1.0
    ).json() | {"model": "vanilla-0"}


@pytest.mark.parametrize(
    ("parameters", "pointer", "detail"),
    [
        ({"temperature": -1.0}, "/parameters/temperature", "-1.0"),
        ({"temperature": 0}, "/parameters/temperature", "0"),
        ({"top_p": 0}, "/parameters/top_p", "0"),
        ({"top_p": 1.5}, "/parameters/top_p", "1.5"),
        ({"top_k": 0}, "/parameters/top_k", "0"),
        ({"min_p": 1.5}, "/parameters/min_p", "1.5"),
        ({"typical_p": 0}, "/parameters/typical_p", "0"),
        ({"presence_penalty": 2.5}, "/parameters/presence_penalty", "2.5"),
        ({"frequency_penalty": -3}, "/parameters/frequency_penalty", "-3"),
        ({"no_repeat_ngram_size": -1}, "/parameters/no_repeat_ngram_size", "-1"),
        ({"bad_words": [""]}, "/parameters/bad_words/0", "at least 1"),
        ({"bad_words": ["a"] * 65}, "/parameters/bad_words", "at most 64"),
        ({"do_sample": False, "min_p": 0.5}, "/parameters/min_p", "min_p is for sampling"),
        ({"n": 0}, "/parameters/n", "0"),
        ({"stop": 7}, "/parameters/stop", "7"),
        ({"stop": [""]}, "/parameters/stop/0", "at least 1"),
        ({"stop": ["a", {}]}, "/parameters/stop/1", "string"),
        ({"max_tokens": 5}, "/parameters/max_tokens", "unknown field"),
        (
            {"max_new_tokens": N_POSITIONS},
            "/parameters/max_new_tokens",
            f"max_new_tokens is {N_POSITIONS}; after a text of 2 tokens",
        ),
        ({"num_beams": 2, "do_sample": True}, "/parameters/num_beams", "num_beams above 1 is a beam search"),
        ({"length_penalty": 2.0}, "/parameters/length_penalty", "length_penalty is for beam search"),
        ({"length_penalty": 0.5, "do_sample": True}, "/parameters/length_penalty", "num_beams is 1"),
        ({"repetition_penalty": 0.001}, "/parameters/repetition_penalty", "0.01"),
        ({"num_beams": 2, "n": 3}, "/parameters/n", "n is 3, more than num_beams, 2"),
        ({"num_beams": 2, "stream": True}, "/parameters/stream", "stream needs num_beams 1"),
        ({"do_sample": False, "top_p": 0.5}, "/parameters/top_p", "top_p is for sampling"),
        ({"min_new_tokens": 9, "max_new_tokens": 3}, "/parameters/min_new_tokens", "min_new_tokens"),
        ({"max_new_tokens": N_POSITIONS, "stream": True}, "/parameters/max_new_tokens", "has room for 62"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    server: Served, parameters: dict[str, Any], pointer: str, detail: str
) -> None:
    answer = ask(server, **parameters)
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == pointer
    assert detail in answer.text


def test_a_text_longer_than_the_context_is_refused_or_cut(server: Served) -> None:
    long = "the dog sees a red house " * 20
    answer = ask(server, long)
    assert answer.status_code == 422
    assert f"this model takes 1 to {N_POSITIONS}; `truncate` cuts it" in answer.text
    (cut,) = generations(ask(server, long, truncate=True, max_new_tokens=4))
    assert len(cut["tokens"]) == 4
    kept = long.split()[-(N_POSITIONS - 4) :]
    (same,) = generations(ask(server, " ".join(kept), max_new_tokens=4))
    assert cut["tokens"] == same["tokens"]
    assert ask(server, long, "vanilla-0", "/translate").status_code == 422
    assert ask(server, long, "vanilla-0", "/translate", truncate=True).status_code == 200


def test_an_empty_text_is_one_that_has_only_begun(server: Served) -> None:
    (made,) = generations(ask(server, "", max_new_tokens=3))
    assert len(made["tokens"]) == 3


def assert_refusals(server: Served) -> None:
    """What a model has no head, no mask or no room for; and bytes that no encoding has."""
    unmasked = ask(server, "the dog runs", "bert-0", "/fill-mask")
    assert unmasked.status_code == 422
    assert "/inputs/0: the text has no mask; write [MASK]" in unmasked.json()["detail"]
    stranger = ask(server, "the [MASK] runs", "bert-0", "/fill-mask", targets=["zebra"])
    assert stranger.status_code == 422
    assert "the target 'zebra' is no token" in stranger.text
    question = {"question": "who?", "context": "the dog"}
    headless = ask(server, question, "bert-0", "/answer")
    assert headless.status_code == 422
    assert headless.json()["type"] == "/errors/task-not-served"
    assert ask(server, {"question": "who?"}, "bert-3", "/answer").status_code == 422
    assert ask(server, {"question": "who? " * 99, "context": "a"}, "bert-3", "/answer").status_code == 422
    long = ask(server, "the dog " * 99, "bert-0", "/encode")
    assert long.status_code == 422
    assert ask(server, "the dog " * 99, "bert-0", "/encode", truncate=True).status_code == 200
    assert ask(server, "a dog", "bert-0", "/attend", layers=[9]).status_code == 422
    body = b'{"model": "bert-0", "inputs": ["a \\ud800 dog"]}'
    answer = httpx.post(server.url + "/encode", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200


def test_every_task_of_texts_answers(tmp_path: Path) -> None:
    for family_id, n in (("bert", 4), ("roberta", 2), ("albert", 2), ("gpt", 2), ("vanilla", 2)):
        for number in range(n):
            write_text(tmp_path / "weights", f"transformers/{family_id}", number)
    special = {
        "/answer": {"question": "who?", "context": "the dog sees a cat . " * 30},
        "/similarity": {"source": "a dog", "candidates": ["the dog", "a house"]},
        "/rerank": {"query": "a dog", "candidates": ["the dog", "a house"]},
        "/detokenize": [7, 8, 9],
    }
    with serve(tmp_path, weights=tmp_path / "weights") as server:
        assert_refusals(server)
        for card in httpx.get(server.url + "/models").json()["models"]:
            assert card["state"] == "ready", card["reason"]
            mask = "<mask>" if "roberta" in card["id"] else "[MASK]"
            for task in card["tasks"]:
                route = "/" + task.replace("_", "-")
                item = special.get(route, f"the {mask} runs" if task == "fill_mask" else "the dog runs")
                answer = ask(server, item, card["id"], route)
                if isinstance(item, str) and task != "fill_mask":
                    status = 422 if task == "score_text" else 200  # no tokens have no likelihood
                    assert ask(server, "", card["id"], route).status_code == status, (card["id"], task, "an empty text")
                assert answer.status_code == 200, (card["id"], task, answer.text)
                assert len(answer.json()["outputs"]) == 1
                assert answer.headers["x-model"] == card["id"]
