"""Encoded images over HTTP: large ones are decoded in processes, and are answered as small ones are."""

import base64
from typing import Any, cast

import httpx
import pytest
from PIL import Image

from app.concurrency.decoder_pool import DecoderPool
from app.errors import DecoderUnavailable
from app.routes import encoded_images
from models.errors import UndecodableItems
from tests.models.codecs.test_image import file_of
from tests.models.pictures.files import raw_png

pytestmark = pytest.mark.anyio
PICTURE = file_of(Image.effect_noise((40, 30), 80))
TEXT = base64.b64encode(PICTURE).decode()
NUMBERS = [0.5] * 16


@pytest.fixture
def in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every image for a large one."""
    monkeypatch.setattr(encoded_images, "MAX_THREAD_WORK", 0)


def pool_in(client: httpx.AsyncClient) -> DecoderPool:
    return cast("DecoderPool", client.app.state.decoders)  # type: ignore[attr-defined]


async def reconstruct(client: httpx.AsyncClient, inputs: Any, **parameters: Any) -> httpx.Response:
    return await client.post("/reconstruct", json={"inputs": inputs, "parameters": parameters})


async def test_large_images_are_answered_as_small_ones(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [TEXT, NUMBERS, f"data:image/png;base64,{TEXT}"]
    small = await reconstruct(client, inputs, fit="cover")
    assert pool_in(client).pids == []
    monkeypatch.setattr(encoded_images, "MAX_THREAD_WORK", 0)
    large = await reconstruct(client, inputs, fit="cover")
    assert len(pool_in(client).pids) == 1
    assert small.status_code == large.status_code == 200
    assert small.json() == large.json()


async def test_an_image_of_many_pixels_is_decoded_in_a_process(client: httpx.AsyncClient) -> None:
    answer = await client.post("/reconstruct", content=raw_png(1500, 1500), headers={"content-type": "image/png"})
    assert answer.status_code == 200
    assert len(pool_in(client).pids) == 1


@pytest.mark.usefixtures("in_processes")
async def test_the_error_of_a_large_image_names_it(client: httpx.AsyncClient) -> None:
    answer = await reconstruct(client, [TEXT, base64.b64encode(PICTURE[:-30]).decode(), TEXT])
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/inputs/1")
    answer = await reconstruct(client, [TEXT, [0.5] * 15])
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/inputs/1")


@pytest.mark.usefixtures("in_processes")
async def test_what_the_headers_tell_is_refused_before_any_image_is_decoded(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*arguments: object) -> None:
        raise UndecodableItems

    monkeypatch.setattr(DecoderPool, "decode", fail)
    thin = base64.b64encode(raw_png(70_000, 1)).decode()
    answer = await reconstruct(client, [TEXT, thin, "AAAA"])
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/inputs/1", "/inputs/2"]
    assert "a side has at most 65535" in answer.json()["errors"][0]["detail"]
    monkeypatch.setattr(pool_in(client), "_max_bytes", 10)
    answer = await reconstruct(client, [NUMBERS, TEXT])
    assert answer.status_code == 422
    assert "the limit is 10 (image_memory)" in answer.json()["errors"][0]["detail"]
    assert answer.json()["errors"][0]["pointer"] == "/inputs/1"


@pytest.mark.usefixtures("in_processes")
async def test_no_process_is_a_refusal_that_passes(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*arguments: object) -> None:
        raise DecoderUnavailable("no process", retry_after_s=5)

    monkeypatch.setattr(DecoderPool, "decode", fail)
    answer = await reconstruct(client, TEXT)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["type"] == "/errors/decoder-unavailable"
