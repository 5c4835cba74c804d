"""Requests of the command line: within limits, in order, and patient where the server asks for it."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import numpy as np
import pytest

from app.cli.connection import Connection
from app.cli.errors import Refused, WrongUsage
from app.cli.inputs import Item
from app.cli.requests import Answer, Call, answers, refusal_of, split

LIMITS = {"max_items": 4, "max_body_bytes": 10_000}
Handler = Callable[[httpx.Request], httpx.Response]


def items(*values: Any) -> list[Item]:
    return [Item(value, f"a.txt, line {number}") for number, value in enumerate(values, 1)]


def ask(handler: Handler, groups: Sequence[Sequence[Item]]) -> list[Answer]:
    async def collect() -> list[Answer]:
        transport = httpx.MockTransport(handler)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            call = Call(path="/encode", model=None, parameters={"seed": 1}, timeout_ms=500)
            return [answer async for answer in answers(Connection(client=client), call, groups, 1000)]

    return asyncio.run(collect())


def test_groups_keep_within_the_limits_of_the_server() -> None:
    assert [len(group) for group in split(items(*"abcdefghij"), LIMITS)] == [4, 4, 2]
    with_candidates = items(*[{"source": "x", "candidates": ["y"]}] * 3)
    assert [len(group) for group in split(with_candidates, LIMITS)] == [2, 1]
    assert [len(group) for group in split(items("x" * 6000, "y" * 6000, "z"), LIMITS)] == [1, 2]
    assert [len(group) for group in split(items(np.zeros(300), np.zeros(300)), LIMITS)] == [1, 1]
    assert [len(group) for group in split(items("x" * 60_000), LIMITS)] == [1], "the server refuses it, with its limit"


def test_answers_come_in_the_order_of_the_inputs() -> None:
    async def check() -> None:
        is_last_asked = asyncio.Event()

        async def handle(request: httpx.Request) -> httpx.Response:
            inputs = json.loads(request.content)["inputs"]
            if inputs == ["c"]:
                is_last_asked.set()
            await is_last_asked.wait()  # so that all are under way at the same time
            return httpx.Response(200, json={"model": "m", "outputs": inputs})

        async with httpx.AsyncClient(transport=httpx.MockTransport(handle), base_url="http://test") as client:
            call, groups = Call(path="/encode", model=None, parameters={}), [[each] for each in items(*"abc")]
            got = [answer.content["outputs"] async for answer in answers(Connection(client=client), call, groups, 1000)]
        assert got == [["a"], ["b"], ["c"]]

    asyncio.run(check())


def test_a_busy_server_is_asked_again_after_the_time_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    busy = [429, 429, 503]

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    def handle(request: httpx.Request) -> httpx.Response:
        if busy:
            status = busy.pop(0)
            return httpx.Response(status, headers={"retry-after": "7" if status == 429 else "1"}, json={})
        assert request.headers["x-timeout-ms"] == "500"
        assert json.loads(request.content) == {"inputs": ["a"], "parameters": {"seed": 1}}
        return httpx.Response(200, json={"model": "m", "outputs": [1]})

    monkeypatch.setattr("app.cli.requests.asyncio.sleep", wait)
    (answer,) = ask(handle, [items("a")])
    assert answer.content["outputs"] == [1]
    assert waits == [7, 7, 1]


@pytest.mark.parametrize(("status", "retry_after"), [(503, "30"), (429, "3600"), (429, "soon"), (503, "")])
def test_a_server_that_is_down_for_long_is_not_waited_for(status: int, retry_after: str) -> None:
    n_asked = 0

    def handle(request: httpx.Request) -> httpx.Response:
        nonlocal n_asked
        n_asked += 1
        return httpx.Response(status, headers={"retry-after": retry_after}, json={"detail": "m is unloaded"})

    with pytest.raises(Refused, match=r"m is unloaded\."):
        ask(handle, [items("a")])
    assert n_asked == 1


def test_warnings_name_the_place_of_the_input() -> None:
    warning = [{"pointer": "/inputs/0", "detail": "the paper seems dark"}]
    given = httpx.Response(200, json={"model": "m", "outputs": [1], "warnings": warning})
    (answer,) = ask(lambda _: given, [items("a")])
    assert answer.warnings == ["a.txt, line 1: the paper seems dark."]


@pytest.mark.parametrize(
    ("pointer", "kind", "said"),
    [
        ("/inputs/1", Refused, "a.txt, line 2: it is wrong."),
        ("/inputs/0/candidates/3", Refused, "a.txt, line 1 at candidates/3: it is wrong."),
        ("/inputs", Refused, "a.txt, line 1 to a.txt, line 2: it is wrong."),
        ("/inputs/9", Refused, "It is wrong."),
        ("/parameters/noise/level", WrongUsage, "--noise-level: it is wrong."),
        ("/parameters/bad_words/2", WrongUsage, "--bad-words: it is wrong."),
        ("/model", WrongUsage, "--model: it is wrong."),
        ("", Refused, "It is wrong."),
    ],
)
def test_pointers_become_places_and_options(pointer: str, kind: type[Refused], said: str) -> None:
    refused = refusal_of({"errors": [{"pointer": pointer, "detail": "it is wrong"}]}, items("a", "b"))
    assert (type(refused), refused.problems) == (kind, [said])


def test_what_is_wrong_with_all_inputs_names_the_only_one() -> None:
    refused = refusal_of({"errors": [{"pointer": "/inputs", "detail": "it is wrong"}]}, items("a"))
    assert refused.problems == ["a.txt, line 1: it is wrong."]


def test_without_a_key_the_option_for_it_is_named() -> None:
    refused = refusal_of({"status": 401, "detail": "this server needs an API key"}, None)
    assert refused.problems == ["this server needs an API key. Here, --key or MANIFOLD_KEY gives the key."]
