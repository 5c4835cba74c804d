"""Every shipped checkpoint on one server: what company requests are in must not show in their answers."""

import asyncio
import math
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from benchmarks.server.http_client import Answer, AnswerParser
from benchmarks.server.soak.requests import pool_of
from tests.app.server import Served, serve

pytestmark = pytest.mark.anyio

N_REQUESTS = 200

WORDS = ("the", "dog", "man", "woman", "plays", "runs", "in", "on", "green", "park", "red", "two", "and", "ball")

Request = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("shipped")) as served:
        yield served


def item(card: dict[str, Any], draw: np.random.Generator) -> Any:
    """Random, of the model's shape; a series of any length up to its own; a sentence of a few words; a short sound."""
    if card["item"]["modality"] == "audio":
        return draw.uniform(-0.5, 0.5, int(draw.integers(300, 4000))).round(3).tolist()
    if card["item"]["modality"] == "sentence":
        return " ".join(draw.choice(WORDS, int(draw.integers(3, 15))))
    shape = list(card["item"]["shape"])
    if card["item"]["modality"] == "series":
        shape[0] = int(draw.integers(2, shape[0] + 1))
        return draw.standard_normal(shape[0] if shape[1] == 1 else shape).round(3).tolist()
    return draw.random(shape).round(2).tolist()


NOISE: dict[str, dict[str, Any]] = {
    "image": {"noise": {"type": "gaussian", "level": 0.2}},
    "sentence": {"word_noise": {"dropped": 0.2, "moved": 2}},
    "audio": {"snr_db": 10.0},
}
"""The noise that `/denoise` adds, by modality."""
Made = dict[tuple[str, str], Any]
"""Inputs that only another task makes, by model and task: streams, and the codes of sounds."""


def request(card: dict[str, Any], task: str, draw: np.random.Generator, made: Made) -> Request:
    """One for that task, with random items and parameters."""
    modality = card["item"]["modality"]
    body: dict[str, Any] = {"model": card["id"], "inputs": [item(card, draw)]}
    seed = int(draw.integers(1000))
    if (card["id"], task) in made:
        body["inputs"] = [made[card["id"], task]]
    elif task == "sample":
        body = {"model": card["id"], "parameters": {"n": int(draw.integers(1, 4)), "seed": seed}}
    elif task == "decode":
        body["inputs"] = [draw.standard_normal(card["latent_shape"]).round(2).tolist()]
    elif task in ("interpolate", "project"):
        body["inputs"].append(item(card, draw))
    elif task == "denoise":
        body["parameters"] = {**NOISE.get(modality, NOISE["image"]), "seed": seed}
    elif task == "impute" and modality == "sentence":
        body["inputs"] = [["a", None, "runs", None, "park"]]
    elif task == "impute":
        gappy = np.array(body["inputs"][0], dtype=object)
        gappy.flat[: gappy.size // 2] = None
        body["inputs"] = [gappy.tolist(), item(card, draw)]
    elif task == "detect_anomalies" and modality == "series":
        is_compared = len(body["inputs"][0]) == card["item"]["shape"][0]
        body["parameters"] = {} if is_compared else {"score": "mae"}
    return "/" + task.replace("_", "-"), body


def text_request(card: dict[str, Any], task: str, draw: np.random.Generator) -> Request:
    """For that task, about random words."""
    words = draw.choice(WORDS, int(draw.integers(3, 40)))
    text = " ".join(words)
    item: Any = text
    if task == "fill_mask":
        item = f"{text} {'<mask>' if 'roberta' in card['id'] else '[MASK]'} {text}"
    elif task == "answer":
        item = {"question": "who runs?", "context": text}
    elif task == "similarity":
        item = {"source": text, "candidates": [" ".join(words[:3]), " ".join(words[::-1])]}
    elif task == "rerank":
        item = {"query": text, "candidates": [" ".join(words[:3]), " ".join(words[::-1])]}
    elif task == "detokenize":
        item = draw.integers(5, 1000, 20).tolist()
    parameters = {"generate": {"temperature": 0.9, "seed": int(draw.integers(100)), "n": 2}}.get(task, {})
    return "/" + task.replace("_", "-"), {"model": card["id"], "inputs": [item], "parameters": parameters}


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for mine, yours in zip(one, other, strict=True):
            assert_same(mine, yours)
    elif isinstance(one, float):
        assert math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-4), (one, other)
    else:
        assert one == other


async def test_200_mixed_requests_at_once_are_answered_as_one_at_a_time(server: Served) -> None:
    draw = np.random.default_rng(0)
    limits = httpx.Limits(max_connections=N_REQUESTS)
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:

        async def ask(task: str, body: dict[str, Any]) -> Any:
            answer = await client.post(task, json=body)
            assert answer.status_code == 200, (task, body["model"], answer.text)
            return answer.json()

        cards = (await client.get("/models")).json()["models"]
        texts = [card for card in cards if card["item"]["modality"] == "text"]
        cards = [card for card in cards if card not in texts]
        made: Made = {}
        for card in cards:
            body = {"model": card["id"], "inputs": [item(card, draw)]}
            if "compress" in card["tasks"]:
                made[card["id"], "decompress"] = (await ask("/compress", body))["outputs"][0]["stream"]
            if card["item"]["modality"] == "audio":
                (made[card["id"], "decode"],) = (await ask("/encode", body))["outputs"]
        pairs = [(card, task) for card in cards for task in card["tasks"]]
        requests = [request(*pairs[i % len(pairs)], draw, made) for i in range(max(N_REQUESTS, len(pairs)))]
        requests += [text_request(card, task, draw) for card in texts for task in card["tasks"]]
        alone = [await ask(*one) for one in requests]
        order = draw.permutation(len(requests))
        together = await asyncio.gather(*(ask(*requests[i]) for i in order))
        assert len(requests) >= N_REQUESTS
        for i, answer in zip(order, together, strict=True):
            assert_same(answer, alone[i])


def test_every_request_of_the_soak_is_answered_as_it_expects(server: Served) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        cards = client.get("/models").json()["models"]
        pool = pool_of(client.get("/openapi.json").json(), cards)
    with socket.create_connection(server.address, timeout=60) as connection, connection.makefile("rb") as stream:
        parser = AnswerParser()
        for request in pool:
            connection.sendall(request.with_id("1"))
            answers: list[Answer] = []
            while not answers:
                answers = parser.feed(stream.read1())
            assert answers[0].status in request.statuses, (request.name, request.model, answers[0].body)


async def test_heartbeats_of_another_length_are_compared_by_their_error_alone(server: Served) -> None:
    body: dict[str, Any] = {"model": "lstm-ae-ecg", "inputs": [[0.0] * 140, [0.0] * 70]}
    refused = httpx.post(f"{server.url}/detect-anomalies", json=body)
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert error["pointer"] == "/inputs/1"
    assert error["detail"] == (
        "the score 'combined' is for series of 140 steps, and this one has 70; for other lengths, the parameter score "
        "may be one of mae, mse"
    )
    answer = httpx.post(f"{server.url}/detect-anomalies", json={**body, "parameters": {"score": "mae"}}).json()
    assert [len(output["contributions"]) for output in answer["outputs"]] == [140, 70]


async def test_every_model_says_what_memory_it_holds(server: Served) -> None:
    cards = httpx.get(f"{server.url}/models").json()["models"]
    assert all(card["memory_bytes"] >= 4 * card["parameters"] for card in cards)
    assert sum(card["memory_bytes"] for card in cards) < 2**28
