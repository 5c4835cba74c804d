"""All kinds of requests to all models at once: every answer is the one that its request gets alone."""

import asyncio
import math
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.schemas.catalogue import task_endpoints
from benchmarks.server.model_inputs import random_text
from tests.app.server import Served, serve

EXAMPLES = {endpoint.name: endpoint.examples for endpoint in task_endpoints()}

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]  # hundreds of requests, some of which take seconds

N_COPIES, N_CLIENTS = 3, 32
TOLERANCE = 1e-5
TEXT_MODELS = ("sentence-mini-en", "bert-mini-en", "roberta-mini-en", "albert-mini-en")
Asked = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("mixed"), "--dtype", "float32") as served:
        yield served


def requests() -> list[Asked]:
    """The examples, drawn texts for encoders, and texts and images that are drawn by a seed."""
    draw = random.Random(0)
    found: list[Asked] = [(f"/{task.replace('_', '-')}", body) for task, bodies in EXAMPLES.items() for body in bodies]
    for number in range(24):
        texts = [random_text(draw) for _ in range(draw.randint(1, 5))]
        found.append(("/encode", {"model": draw.choice(TEXT_MODELS), "inputs": texts}))
        sampling = {"max_new_tokens": draw.randint(1, 24), "do_sample": True, "seed": number}
        found.append(("/generate", {"model": "gpt-mini-en", "inputs": texts[:1], "parameters": sampling}))
        found.append(("/sample", {"model": "cvae-mnist", "parameters": {"n": draw.randint(1, 4), "seed": number}}))
        found.append(("/translate", {"model": "transformer-multi30k-en-de", "inputs": texts[:2]}))
    return found


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two answers say other things; numbers may differ by `TOLERANCE`, of what is larger than 1 relatively."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from differences(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{path}/{place}")
    elif isinstance(one, float) and isinstance(other, float):
        if not math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{path}: {one} and {other}"
    elif one != other:
        yield f"{path}: {str(one)[:80]} and {str(other)[:80]}"


def content(answer: httpx.Response) -> Any:
    """Without what tells requests apart."""
    assert answer.status_code == 200, answer.text
    return {key: value for key, value in answer.json().items() if key not in ("timings", "request_id")}


async def test_answers_in_a_crowd_are_those_alone(server: Served) -> None:
    its = requests()
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        alone = [content(await http.post(path, json=body)) for path, body in its]
        crowd = [number for number in range(len(its)) for _ in range(N_COPIES)]
        random.Random(1).shuffle(crowd)
        queue, wrong = iter(crowd), list[str]()

        async def client() -> None:
            for number in queue:
                path, body = its[number]
                found = content(await http.post(path, json=body))
                wrong.extend(f"{path}{one}" for one in differences(alone[number], found))

        await asyncio.gather(*(client() for _ in range(N_CLIENTS)))
    assert wrong == []


def test_other_answers_are_told_apart() -> None:
    assert list(differences({"a": [1.0, "x"]}, {"a": [1.0 + 1e-7, "x"]})) == []
    assert list(differences({"a": [1.0, "x"]}, {"a": [1.1, "y"]})) == ["/a/0: 1.0 and 1.1", "/a/1: x and y"]
    assert list(differences([1], [1, 2])) == [": [1] and [1, 2]"]


def test_all_tasks_are_asked() -> None:
    assert {path for path, _ in requests()} >= {f"/{task.replace('_', '-')}" for task in EXAMPLES}
