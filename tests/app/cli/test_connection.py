"""A server in this process, reached as one at a URL is."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from rich.console import Console
from starlette.types import Message, Receive, Scope, Send

from app.cli import task_run
from app.cli.connection import Connection, InProcessTransport, connect, model_name
from app.cli.errors import Refused
from app.cli.inputs import Item
from app.cli.requests import Call
from app.cli.task_run import Server, StreamPrinter
from tests.app.cli.conftest import TEXT_MODEL, Run
from tests.conftest import TINY

App = Callable[[Scope, Receive, Send], Awaitable[None]]


def client_of(app: App) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=InProcessTransport(app), base_url="http://test")


def test_streams_are_passed_on_as_they_come() -> None:
    """The application goes on only once its first piece has been read: httpx's own transport would wait for ever."""
    is_read = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await is_read.wait()
        await send({"type": "http.response.body", "body": b"two"})

    async def read() -> list[bytes]:
        pieces = []
        async with client_of(app) as client, client.stream("POST", "/") as answer:
            async for piece in answer.aiter_raw():
                pieces.append(piece)
                is_read.set()
        return pieces

    assert asyncio.run(asyncio.wait_for(read(), 30)) == [b"one", b"two"]


def test_an_answer_that_is_left_is_a_disconnect() -> None:
    messages: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        messages.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        messages.append(await receive())

    async def leave() -> None:
        async with client_of(app) as client, client.stream("POST", "/?a=1", content=b"body") as answer:
            assert answer.status_code == 200

    asyncio.run(asyncio.wait_for(leave(), 30))
    assert messages == [
        {"type": "http.request", "body": b"body", "more_body": False},
        {"type": "http.disconnect"},
    ]


@pytest.mark.parametrize("n_sent", [0, 1])
def test_an_application_that_fails_raises_its_error(n_sent: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if n_sent:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    async def ask() -> None:
        async with client_of(app) as client:
            await client.get("/")

    with pytest.raises(ZeroDivisionError):
        asyncio.run(asyncio.wait_for(ask(), 30))


def test_only_the_model_that_is_needed_is_loaded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[list[str]] = []
    original = task_run._load

    async def load_and_note(connection: Connection, *arguments: Any) -> None:
        await original(connection, *arguments)
        assert connection.registry is not None
        loaded.append([model.name for model in connection.registry.models.values() if model.loaded])

    monkeypatch.setattr(task_run, "_load", load_and_note)
    for item in ("the dog", json.dumps([0.5] * 16)):
        assert run("encode", item).exit_code == 0
    assert loaded == [[TEXT_MODEL], [TINY]]


def test_ctrl_c_while_it_loads_ends_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(task_run, "_load", interrupt)
    done = run("encode", "the dog")
    assert (done.exit_code, done.stdout, done.stderr) == (130, "", "\nInterrupted.\n")


def test_what_nobody_foresaw_is_shown_with_its_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by nobody's will")

    monkeypatch.setattr("app.routes.task_call.infer", fail)
    done = run("encode", "the dog")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "ZeroDivisionError: by nobody's will" in done.stderr
    assert "Error: The server failed" in done.stderr or "Error: the server failed" in done.stderr


def test_progress_and_the_time_left_are_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=shown, force_terminal=True, width=80))

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"model": "m", "outputs": json.loads(request.content)["inputs"]})

    async def collect() -> AsyncIterator[Any]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://test") as client:
            call = Call(path="/encode", model=None, parameters={})
            server = Server(connection=Connection(client=client), limits={"default_timeout_ms": 1000}, call=call)
            groups = [[Item("a", "1"), Item("b", "2")], [Item("c", "3")]]
            async for each in task_run._with_progress(server, groups):
                yield each

    async def count() -> int:
        return len([each async for each in collect()])

    assert asyncio.run(count()) == 2
    assert "encode" in shown.getvalue()
    assert "3/3" in shown.getvalue()


def test_texts_that_are_generated_together_are_printed_in_turn(capsys: pytest.CaptureFixture[str]) -> None:
    printer = StreamPrinter()
    for generation, text, reason in [
        (0, "a", None), (1, "x", None), (0, "b", None), (1, "y", "length"), (0, "c", "stop"), (2, "p", None),
    ]:  # fmt: skip
        printer.print({"input": 0, "generation": generation, "text": text, "finish_reason": reason})
        if (generation, text) == (0, "b"):
            assert capsys.readouterr().out == "ab"
    printer.finish()
    assert capsys.readouterr().out == "c\nxy\np"


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("a/b/mine/", "mine"),
        ("org/name@main", "name"),
        ("org/name:vae", "name-vae"),
        ("org/name@main:vae", "name-vae"),
        ("gpt-mini-en", "gpt-mini-en"),
        ("/x/y", "y"),
    ],
)
def test_a_location_gives_a_model_its_name(location: str, name: str) -> None:
    assert model_name(location) == name


def test_what_the_settings_name_has_to_exist(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("encode", "x", "--model", "no/where")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no/where at main is neither a folder nor in the cache; `manifold pull no/where` fetches it" in done.stderr
    done = run("encode", "x", "--model", "/no/where/mine")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: --model gives 'mine' the place '/no/where/mine', but there is no such folder")
    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", "nowhere")
    done = run("encode", "x")
    assert (done.exit_code, done.stderr) == (
        2,
        "Error: MANIFOLD_WEIGHTS_DIR is 'nowhere', but there is no such folder.\n",
    )


def test_the_server_itself_can_be_asked(run: Run) -> None:
    async def ask() -> dict[str, Any]:
        async with connect(None, None, None) as connection:
            return await connection.get("/info")

    assert asyncio.run(ask())["limits"]["max_items"] == 1024
    assert not logging.getLogger("app").handlers, "nothing is left behind in the process"


def test_where_a_server_wants_a_key_the_option_for_it_is_named() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"detail": "this server needs an API key"})

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(refuse), base_url="http://test") as client:
            await Connection(client=client).get("/models")

    with pytest.raises(Refused, match=r"needs an API key\. Here, --key or MANIFOLD_KEY gives the key\."):
        asyncio.run(ask())
