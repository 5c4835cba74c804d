"""The Python client against a real server."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pandas as pd
import pytest
from manifold_client import (
    AccessDenied,
    AsyncManifold,
    ConnectionFailed,
    InvalidRequest,
    Manifold,
    ManifoldError,
    NotFound,
    Overloaded,
    ServerFailed,
    TimedOut,
)
from PIL import Image

from tests.app.server import Served, free_port, serve

MODELS = "sentence-mini-en,vanilla-ae-mnist,gpt-mini-en,gru-ae-ecg"
STORY = {"model": "gpt-mini-en", "max_new_tokens": 8, "seed": 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("client"), "--models", MODELS) as served:
        yield served


@pytest.fixture
def client(server: Served) -> Iterator[Manifold]:
    with Manifold(server.url) as client:
        yield client


def test_texts_become_an_array_of_embeddings(client: Manifold) -> None:
    answer = client.encode(["a dog runs", "stock prices"], normalize=True)
    vectors = answer.array()
    assert answer.model == "sentence-mini-en"
    assert len(answer) == 2
    assert vectors.shape == (2, len(answer[0].embedding))  # type: ignore[arg-type]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_an_array_is_sent_as_numpy_and_gives_the_same_as_json(client: Manifold) -> None:
    items = np.random.default_rng(0).random((3, 28, 28)).astype(np.float32)
    as_array = client.reconstruct(items, model="vanilla-ae-mnist")
    as_lists = client.reconstruct(items.tolist(), model="vanilla-ae-mnist")
    assert np.allclose(as_array.array(), as_lists.array(), atol=1e-6)
    assert as_array[0].mse == pytest.approx(as_lists[0].mse)


def test_pictures_go_in_and_come_out(client: Manifold) -> None:
    picture = Image.fromarray(np.eye(28, dtype=np.uint8) * 255)
    shown = client.reconstruct(picture, model="vanilla-ae-mnist").images()
    as_url = client.reconstruct([picture], model="vanilla-ae-mnist", format="png").images()
    assert [each.size for each in shown + as_url] == [(28, 28)] * 2
    assert np.abs(np.asarray(shown[0], int) - np.asarray(as_url[0], int)).max() <= 1


def test_parameters_that_are_objects_reach_a_numpy_body(client: Manifold) -> None:
    noise: Any = {"type": "masking", "level": 0.5}
    answer = client.denoise(np.ones((2, 28, 28), np.float32), model="vanilla-ae-mnist", noise=noise, seed=3)
    assert 0.2 < float(np.mean(answer[0].noisy == 0)) < 0.8


def test_gaps_are_sent_as_null(client: Manifold) -> None:
    item = np.zeros((28, 28))
    item[0, 0] = np.nan
    answer = client.impute([item], model="vanilla-ae-mnist", iterations=1)
    assert np.isfinite(answer.array()).all()


def test_a_stream_gives_the_text_of_the_whole_answer(client: Manifold) -> None:
    whole = client.generate("Once upon a time", **STORY)[0].generations[0].text  # type: ignore[arg-type]
    events = list(client.stream_generate("Once upon a time", **STORY))  # type: ignore[arg-type]
    assert "".join(event.text for event in events) == whole
    assert [event.finish_reason for event in events][-1] == "length"
    assert len(events) >= 8


def test_the_service_is_described(client: Manifold) -> None:
    assert client.is_ready()
    assert {"sentence-mini-en", "vae-mnist"} <= {model.id for model in client.models()}
    assert client.model("gru-ae-ecg").tasks
    assert client.info().limits["max_items"] == 1024


def test_models_are_loaded_and_unloaded(server: Served, client: Manifold) -> None:
    assert client.load("conv-ae-mnist").state == "ready"
    assert client.unload("conv-ae-mnist").state == "unloaded"
    with Manifold(server.url, retries=0) as impatient, pytest.raises(Overloaded, match="unloaded"):
        impatient.reconstruct(np.zeros((1, 28, 28)), model="conv-ae-mnist")


def test_a_refusal_names_the_place(client: Manifold) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client.reconstruct([[0.0] * 784, [0.0] * 783], model="vanilla-ae-mnist")
    assert refused.value.status == 422
    assert [fault.pointer for fault in refused.value.faults] == ["/inputs/1"]
    assert refused.value.request_id


def test_an_unknown_model_is_not_found(client: Manifold) -> None:
    with pytest.raises(NotFound, match="nothing-here"):
        client.model("nothing-here")


def test_the_time_limit_reaches_the_server(client: Manifold) -> None:
    with pytest.raises(TimedOut, match="within 1 ms"):
        client.generate("Once", model="gpt-mini-en", max_new_tokens=200, timeout=0.001)


def test_embeddings_in_base64_become_the_same_array(client: Manifold) -> None:
    texts = ["a dog runs", "stock prices"]
    decoded = client.encode(texts, encoding="base64").array()
    assert decoded.dtype == np.float32
    assert np.allclose(decoded, client.encode(texts).array(), atol=1e-6)


def test_a_picture_in_colours_that_png_does_not_have_is_sent(client: Manifold) -> None:
    picture = Image.fromarray(np.eye(28, dtype=np.uint8) * 255)
    direct, converted = (
        client.reconstruct(each, model="vanilla-ae-mnist") for each in (picture, picture.convert("YCbCr"))
    )
    assert np.allclose(direct.array(), converted.array(), atol=0.02)
    with pytest.raises(ValueError, match="mode F"):
        client.reconstruct(picture.convert("F"), model="vanilla-ae-mnist")


def test_a_table_has_the_columns_that_the_answer_has(client: Manifold) -> None:
    assert list(client.encode(["a", "b"]).frame().columns) == ["embedding"]


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_leads_to_another_path_is_refused(client: Manifold, name: str) -> None:
    with pytest.raises(ManifoldError, match="cannot be the name of a model"):
        client.model(name)


def test_infinite_numbers_and_times_are_refused_before_anything_is_sent(client: Manifold) -> None:
    with pytest.raises(ValueError, match="inf has no form in JSON"):
        client.reconstruct([[float("inf")] * 784])
    for seconds in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="number of seconds above 0"):
            client.encode("a", timeout=seconds)


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"url": "localhost:8000"}, "must be like http://"),
        ({"timeout": 0}, "number of seconds above 0"),
        ({"timeout": float("nan")}, "number of seconds above 0"),
        ({"retries": -1}, "must be 0 or more"),
        ({"key": "secret\nkey"}, "not printable ASCII"),
        ({"key": "sécret"}, "not printable ASCII"),
    ],
    ids=["address", "no-time", "nan-time", "retries", "line-end-in-key", "accent-in-key"],
)
@pytest.mark.parametrize("kind", [Manifold, AsyncManifold])
def test_wrong_arguments_of_a_client_are_refused(kind: type, arguments: dict[str, Any], refusal: str) -> None:
    with pytest.raises(ValueError, match=refusal) as refused:
        kind(**arguments)
    assert "cret" not in str(refused.value)


def test_both_clients_answer_alike(server: Served, client: Manifold) -> None:
    async def ask() -> tuple[Any, str]:
        async with AsyncManifold(server.url) as other:
            first = await asyncio.gather(*(other.encode([f"text {i}"]) for i in range(5)))
            events = [event async for event in other.stream_generate("Once", **STORY)]  # type: ignore[arg-type]
            return [answer.array()[0] for answer in first], "".join(event.text for event in events)

    vectors, text = asyncio.run(ask())
    assert np.allclose(vectors, client.encode([f"text {i}" for i in range(5)]).array(), atol=1e-5)
    assert text == client.generate("Once", **STORY)[0].generations[0].text  # type: ignore[arg-type]


def test_outputs_become_a_table(client: Manifold) -> None:
    table = pd.DataFrame(np.zeros((2, 784)))
    frame = client.reconstruct(table, model="vanilla-ae-mnist").frame()
    assert list(frame["mse"]) == sorted(frame["mse"])
    assert len(frame) == 2


def test_nobody_at_the_address_is_an_error_of_the_connection() -> None:
    with Manifold(f"http://127.0.0.1:{free_port()}", retries=0) as client:
        assert not client.is_ready()
        with pytest.raises(ConnectionFailed, match="cannot be reached"):
            client.models()


class ScriptedServer:
    """A server that answers with one scripted status after the other, and records what it was sent."""

    def __init__(self, *answers: tuple[int, dict[str, str], Any]) -> None:
        self.received: list[dict[str, str]] = []
        script, received = iter(answers), self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                received.append(dict(self.headers.items()))
                status, headers, content = next(script)
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "ScriptedServer":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


GOOD: tuple[int, dict[str, str], dict[str, Any]] = (
    200,
    {},
    {"model": "m", "outputs": [{"embedding": [1.0]}], "usage": {"items": 1}},
)


def test_a_refusal_that_passes_is_tried_again_after_the_time_it_names() -> None:
    busy = (429, {"retry-after": "0"}, {"detail": "busy"})
    with ScriptedServer(busy, busy, GOOD) as scripted, Manifold(scripted.url, key="secret") as client:
        assert client.encode("a")[0].embedding == [1.0]
    assert len(scripted.received) == 3
    assert scripted.received[0]["authorization"] == "Bearer secret"


def test_a_refusal_is_given_up_where_the_server_asks_for_more_time_than_allowed() -> None:
    busy = (503, {"retry-after": "30"}, {"detail": "the model is loading", "request_id": "r1"})
    with (
        ScriptedServer(busy) as scripted,
        Manifold(scripted.url, max_retry_wait=1) as client,
        pytest.raises(Overloaded, match="loading") as refused,
    ):
        client.encode("a")
    assert refused.value.request_id == "r1"


def test_a_key_that_was_read_with_the_end_of_its_line_is_sent_without_it() -> None:
    with ScriptedServer(GOOD) as scripted, Manifold(scripted.url, key="secret\n") as client:
        client.encode("a")
    assert scripted.received[0]["authorization"] == "Bearer secret"


@pytest.mark.parametrize("content", [{}, [], {"outputs": []}, "text"], ids=["empty", "list", "part", "text"])
def test_an_answer_of_another_server_is_not_understood(content: Any) -> None:
    with (
        ScriptedServer((200, {}, content)) as scripted,
        Manifold(scripted.url) as client,
        pytest.raises(ServerFailed, match="not that of a task"),
    ):
        client.encode("a")


@pytest.mark.parametrize("errors", ["text", ["text"], {"a": 1}], ids=["text", "texts", "object"])
def test_an_error_in_the_form_of_another_server_is_raised(errors: Any) -> None:
    with (
        ScriptedServer((422, {}, {"errors": errors})) as scripted,
        Manifold(scripted.url) as client,
        pytest.raises(InvalidRequest, match="status 422"),
    ):
        client.encode("a")


EVENT = 'data: {"input": 0, "generation": 0, "text": "a", "token": 1, "finish_reason": null, "seed": 1}\n\n'


@pytest.mark.parametrize(
    ("rest", "kind", "refusal"),
    [
        ("", ConnectionFailed, "ended before its last event"),
        ('data: {"inp', ServerFailed, "not JSON"),
        ("data: [1]\n\n", ServerFailed, "not an object"),
        ('data: {"error": "gone"}\n\n', ServerFailed, "gone"),
    ],
    ids=["end", "half-an-event", "list", "error-as-text"],
)
def test_a_stream_that_breaks_is_an_error_after_the_events_before_it(rest: str, kind: type, refusal: str) -> None:
    body = (EVENT + rest).encode()
    with (
        ScriptedServer((200, {"content-type": "text/event-stream"}, body)) as scripted,
        Manifold(scripted.url) as client,
    ):
        events = client.stream_generate("Once")
        assert next(events).text == "a"
        with pytest.raises(kind, match=refusal):
            next(events)


def test_a_stream_that_breaks_is_an_error_for_coroutines() -> None:
    async def ask(url: str) -> None:
        async with AsyncManifold(url) as client:
            events = client.stream_generate("Once")
            assert (await anext(events)).text == "a"
            with pytest.raises(ConnectionFailed, match="ended before its last event"):
                await anext(events)

    with ScriptedServer((200, {"content-type": "text/event-stream"}, EVENT.encode())) as scripted:
        asyncio.run(ask(scripted.url))


def test_a_wrong_key_is_not_tried_again() -> None:
    with (
        ScriptedServer((401, {}, {"detail": "unknown key"})) as scripted,
        Manifold(scripted.url) as client,
        pytest.raises(AccessDenied, match="unknown key"),
    ):
        client.encode("a")
    assert len(scripted.received) == 1
