"""The tasks over HTTP, on a checkpoint with random weights, against the model called directly."""

import io
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from app.routes import native
from models.codecs import ImageCodec
from tests.app.items import data_url, images, npy, png, reconstructed, reference
from tests.conftest import TINY

pytestmark = pytest.mark.anyio


def assert_close(got: object, expected: object) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=0, atol=1e-5)


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


@pytest.mark.parametrize("form", ["flat", "grey", "full", "data url"])
async def test_every_form_of_an_item_gives_the_same_answer(client: httpx.AsyncClient, weights: Path, form: str) -> None:
    image = np.rint(images(1)[0] * 255).astype(np.float32) / 255  # what a PNG can hold
    item = {
        "flat": image.ravel().tolist(),
        "grey": image.tolist(),
        "full": image[None].tolist(),
        "data url": data_url(image),
    }[form]
    expected = reconstructed(reference(weights, TINY), image[None])[0]
    for inputs in (item, [item]):
        answer = await post(client, "/reconstruct", inputs=inputs)
        (output,) = answer["outputs"]
        assert np.shape(output["reconstruction"]) == (1, 4, 4)
        assert_close(output["reconstruction"][0], expected)
        assert_close(output["mse"], np.square(expected - image).mean())
        assert_close(output["mae"], np.abs(expected - image).mean())
        assert answer["model"] == TINY
        assert answer["usage"] == {"items": 1}


async def test_outputs_keep_the_order_of_the_inputs(client: httpx.AsyncClient, weights: Path) -> None:
    batch = images(100)
    answer = await post(client, "/reconstruct", inputs=batch.tolist())
    got = np.array([output["reconstruction"][0] for output in answer["outputs"]])
    assert_close(got, reconstructed(reference(weights, TINY), batch))


async def test_decoding_what_was_encoded_is_reconstructing(client: httpx.AsyncClient) -> None:
    inputs = images(3).tolist()
    latents = [output["latent"] for output in (await post(client, "/encode", inputs=inputs))["outputs"]]
    assert np.shape(latents) == (3, 3)
    decoded = (await post(client, "/decode", inputs=latents))["outputs"]
    direct = (await post(client, "/reconstruct", inputs=inputs))["outputs"]
    for one, other in zip(decoded, direct, strict=True):
        assert_close(one["reconstruction"], other["reconstruction"])


async def test_mixed_encoded_and_plain_items_share_a_request(client: httpx.AsyncClient) -> None:
    image = np.rint(images(1)[0] * 255).astype(np.float32) / 255
    outputs = (await post(client, "/encode", inputs=[image.tolist(), data_url(image)]))["outputs"]
    assert_close(outputs[0]["latent"], outputs[1]["latent"])


async def test_npy_in_and_out(client: httpx.AsyncClient, weights: Path) -> None:
    batch = images(5)
    headers = {"content-type": "application/x-npy", "accept": "application/x-npy"}
    answer = await client.post("/reconstruct", content=npy(batch), headers=headers)
    assert answer.headers["content-type"] == "application/x-npy"
    got = np.load(io.BytesIO(answer.content))
    assert (got.dtype, got.shape) == (np.float32, (5, 1, 4, 4))
    assert_close(got[:, 0], reconstructed(reference(weights, TINY), batch))


async def test_uint8_npy_counts_to_255(client: httpx.AsyncClient) -> None:
    pixels = np.rint(images(1) * 255).astype(np.uint8)
    headers = {"content-type": "application/x-npy"}
    as_bytes = (await client.post("/encode", content=npy(pixels), headers=headers)).json()
    as_floats = (await client.post("/encode", content=npy(pixels / 255), headers=headers)).json()
    assert_close(as_bytes["outputs"][0]["latent"], as_floats["outputs"][0]["latent"])


async def test_png_in_and_out(client: httpx.AsyncClient, weights: Path) -> None:
    image = np.rint(images(1)[0] * 255).astype(np.float32) / 255
    headers = {"content-type": "image/png", "accept": "image/png"}
    answer = await client.post("/reconstruct", params={"model": TINY}, content=png(image), headers=headers)
    assert answer.headers["content-type"] == "image/png"
    got = np.asarray(Image.open(io.BytesIO(answer.content))) / 255
    np.testing.assert_allclose(got, reconstructed(reference(weights, TINY), image[None])[0], rtol=0, atol=0.5 / 255)


async def test_several_files_are_one_batch(client: httpx.AsyncClient) -> None:
    files = [("files", (f"{i}.png", png(image), "image/png")) for i, image in enumerate(images(3))]
    answer = await client.post("/reconstruct", files=files, params={"format": "png"})
    outputs = answer.json()["outputs"]
    assert len(outputs) == 3
    assert all(output["reconstruction"].startswith("data:image/png;base64,") for output in outputs)
    assert answer.headers["x-batch-size"] == "3"


async def test_a_jpeg_of_another_size_is_fitted(client: httpx.AsyncClient) -> None:
    file = io.BytesIO()
    Image.new("RGB", (60, 20), "white").save(file, "JPEG")
    means = {}
    for fit in ("contain", "cover", "stretch"):
        url = f"/encode?fit={fit}"
        answer = await client.post(url, content=file.getvalue(), headers={"content-type": "image/jpeg"})
        means[fit] = answer.json()["outputs"][0]["latent"]
    assert_close(means["cover"], means["stretch"])  # all white, both ways
    assert not np.allclose(means["contain"], means["cover"], atol=1e-3)  # black bars above and below


async def test_every_answer_says_who_answered_and_how_long_it_took(client: httpx.AsyncClient) -> None:
    answer = await client.post("/encode", json={"inputs": images(2).tolist()}, headers={"x-request-id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    assert answer.headers["x-model"] == TINY
    assert answer.headers["x-batch-size"] == "2"
    assert float(answer.headers["x-queue-time-ms"]) >= 0
    assert float(answer.headers["x-inference-time-ms"]) > 0


async def test_an_id_is_made_where_none_or_an_unfit_one_is_sent(client: httpx.AsyncClient) -> None:
    for sent in ({}, {"x-request-id": "a b"}, {"x-request-id": "x" * 129}):
        answer = await client.get("/info", headers=sent)
        assert len(answer.headers["x-request-id"]) == 32


async def test_the_answer_does_not_depend_on_company(client: httpx.AsyncClient) -> None:
    batch = images(50)
    together = (await post(client, "/encode", inputs=batch.tolist()))["outputs"]
    for image, output in zip(batch, together, strict=True):
        alone = (await post(client, "/encode", inputs=image.tolist()))["outputs"][0]
        assert_close(output["latent"], alone["latent"])


async def test_the_forward_pass_never_builds_a_graph(client: httpx.AsyncClient) -> None:
    app = client.app  # type: ignore[attr-defined]
    loaded = app.state.registry.models[TINY].loaded
    assert loaded is not None
    assert all(not parameter.requires_grad for parameter in loaded.engine.workers[0]._config.model.parameters())
    assert not torch.is_inference_mode_enabled()


async def test_what_may_take_long_is_done_off_the_event_loop(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, render, threads = ImageCodec.decode, native._render_content, list[str]()

    def decoded(codec: ImageCodec, *arguments: Any, **named: Any) -> Any:
        threads.append(threading.current_thread().name)
        return decode(codec, *arguments, **named)

    def rendered(*arguments: Any) -> bytes:
        threads.append(threading.current_thread().name)
        return render(*arguments)

    monkeypatch.setattr(ImageCodec, "decode", decoded)
    monkeypatch.setattr(native, "_render_content", rendered)
    numbers = images(1)[0]
    for inputs in (numbers.tolist(), data_url(numbers)):
        await post(client, "/reconstruct", inputs=inputs)
    await post(client, "/interpolate", inputs=[numbers.tolist()] * 2, parameters={"steps": 200})
    loops = threading.current_thread().name
    assert [name == loops for name in threads] == [True, True, False, True, True, False]
