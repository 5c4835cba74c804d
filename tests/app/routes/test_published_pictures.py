"""Published autoencoders of pictures over HTTP: every task, pictures of several sizes, and what is refused."""

import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from app.settings import Settings
from models.codecs.npy import to_npy
from tests.conftest import served
from tests.models.autoencoders.diffusers_reference import publish
from tests.models.autoencoders.test_kl import ODD as ODD_KL
from tests.models.autoencoders.test_tiny import ODD

pytestmark = pytest.mark.anyio
SCALE = 4
TOLERANCE = 1e-4


class Published:
    """A weights folder with two checkpoints of diffusers, and the models that wrote them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kl = publish(root / "autoencoders/kl/sd-like", "AutoencoderKL", **ODD_KL["narrow"])
        self.tiny = publish(root / "autoencoders/tiny/taesd-like", "AutoencoderTiny", **ODD["narrow"])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
async def client(published: Published) -> AsyncIterator[httpx.AsyncClient]:
    async with served(Settings(weights_dir=published.root)) as client:
        yield client


def picture(height: int, width: int, seed: int = 0) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return np.random.default_rng(seed).random((3, height, width))


def png_of(height: int, width: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


async def ask(
    client: httpx.AsyncClient, task: str, inputs: Any, *, model: str = "taesd-like", **parameters: Any
) -> Any:
    answer = await client.post(f"/{task}", json={"model": model, "inputs": inputs, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"]


def encoded_by_reference(published: Published, pixels: Any) -> Any:
    return published.tiny.encode(torch.as_tensor(pixels)[None].float() * 2 - 1).latents[0]


def decoded_by_reference(published: Published, latent: Any) -> Any:
    sample = published.tiny.decode(torch.as_tensor(latent)[None].float()).sample
    return ((sample[0] + 1) / 2).clamp(0, 1)


async def test_pictures_of_several_sizes_have_the_latents_of_the_reference(
    client: httpx.AsyncClient, published: Published
) -> None:
    given = [picture(8, 12), picture(16, 4), picture(8, 12, seed=1)]
    outputs = await ask(client, "encode", [each.tolist() for each in given])
    for pixels, output in zip(given, outputs, strict=True):
        expected = encoded_by_reference(published, pixels)
        np.testing.assert_allclose(output["latent"], expected, rtol=TOLERANCE, atol=TOLERANCE)


async def test_latents_of_several_sizes_become_the_pictures_of_the_reference(
    client: httpx.AsyncClient, published: Published
) -> None:
    given = [np.random.default_rng(seed).normal(size=(4, *size)) for seed, size in enumerate(((2, 3), (1, 1), (2, 3)))]
    outputs = await ask(client, "decode", [each.tolist() for each in given])
    for latent, output in zip(given, outputs, strict=True):
        expected = decoded_by_reference(published, latent)
        np.testing.assert_allclose(output["reconstruction"], expected, rtol=TOLERANCE, atol=TOLERANCE)


async def test_an_encoded_image_is_reconstructed_in_its_size(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "image/png", "accept": "image/png"}
    answer = await client.post("/reconstruct?model=taesd-like", content=png_of(9, 14), headers=headers)
    assert answer.status_code == 200, answer.text
    assert Image.open(io.BytesIO(answer.content)).size == (12, 8)
    assert "is resized to 12 x 8" in answer.headers["x-warnings"]


async def test_a_large_image_is_decoded_in_a_process_and_keeps_its_size(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "image/png", "accept": "application/x-npy"}
    answer = await client.post("/encode?model=taesd-like", content=png_of(514, 1028), headers=headers)
    assert answer.status_code == 200, answer.text
    assert np.load(io.BytesIO(answer.content)).shape == (1, 4, 128, 257)


async def test_reconstruction_is_the_decoded_latent(client: httpx.AsyncClient, published: Published) -> None:
    pixels = picture(8, 8)
    (output,) = await ask(client, "reconstruct", [pixels.tolist()])
    expected = decoded_by_reference(published, encoded_by_reference(published, pixels)).numpy()
    np.testing.assert_allclose(output["reconstruction"], expected, rtol=TOLERANCE, atol=TOLERANCE)
    assert output["mse"] == pytest.approx(((expected - pixels) ** 2).mean(), rel=1e-3)


async def test_interpolation_begins_and_ends_with_the_pictures(client: httpx.AsyncClient) -> None:
    ends = [picture(8, 12, seed).tolist() for seed in range(2)]
    (output,) = await ask(client, "interpolate", ends, steps=3, format="png")
    reconstructions = await ask(client, "reconstruct", ends, format="png")
    assert output["frames"][0] == reconstructions[0]["reconstruction"]
    assert output["frames"][2] == reconstructions[1]["reconstruction"]
    middle = (np.array(output["latents"][0]) + output["latents"][2]) / 2
    np.testing.assert_allclose(output["latents"][1], middle, atol=1e-5)


async def test_pictures_are_projected(client: httpx.AsyncClient) -> None:
    outputs = await ask(client, "project", [picture(8, 8, seed).tolist() for seed in range(4)])
    assert len({(output["x"], output["y"]) for output in outputs}) == 4


@pytest.mark.parametrize("model", ["taesd-like", "sd-like"])
async def test_compressed_pictures_are_decompressed_in_their_sizes(client: httpx.AsyncClient, model: str) -> None:
    given = [picture(64, 48).tolist(), picture(8, 12).tolist()]
    outputs = await ask(client, "compress", given, model=model)
    for pixels, output in zip(given, outputs, strict=True):
        n_numbers = np.size(pixels)
        assert output["bytes"] == len(base64.b64decode(output["stream"]))
        assert output["bits_per_element"] == pytest.approx(8 * output["bytes"] / n_numbers)
        assert output["ratio"] == pytest.approx(n_numbers / output["bytes"])
    streams = [output["stream"] for output in outputs]
    decompressed = await ask(client, "decompress", streams, model=model)
    for pixels, output, items in zip(given, outputs, decompressed, strict=True):
        (item,) = items["items"]
        assert np.shape(item) == np.shape(pixels)
        assert np.square(np.subtract(item, pixels)).mean() == pytest.approx(output["mse"], rel=1e-4)
    body = {"model": "taesd-like" if model == "sd-like" else "sd-like", "inputs": streams}
    refused = await client.post("/decompress", json=body)
    assert (refused.status_code, "was made by another model" in refused.text) == (422, True)


async def test_a_photograph_is_compressed_to_a_file_and_back(client: httpx.AsyncClient) -> None:
    (output,) = await ask(client, "compress", [base64.b64encode(png_of(64, 96)).decode()], bits=6)
    assert output["ratio"] > 1
    answer = await client.post(
        "/decompress", json={"model": "taesd-like", "inputs": [output["stream"]]}, headers={"accept": "image/png"}
    )
    assert Image.open(io.BytesIO(answer.content)).size == (96, 64)


async def test_noise_is_added_and_both_qualities_are_answered(client: httpx.AsyncClient) -> None:
    given = [picture(8, 12).tolist(), picture(4, 4).tolist()]
    noise = {"type": "gaussian", "level": 0.1}
    outputs = await ask(client, "denoise", given, noise=noise, seed=1)
    denoised = await ask(client, "denoise", [output["noisy"] for output in outputs])
    for pixels, output, again in zip(given, outputs, denoised, strict=True):
        np.testing.assert_allclose(output["denoised"], again["denoised"], atol=1e-5)
        mse = np.square(np.subtract(output["denoised"], pixels)).mean()
        assert output["psnr_after"] == pytest.approx(-10 * np.log10(mse), abs=1e-3)


async def test_an_autoencoder_with_a_posterior_answers_its_mean_and_variance(
    client: httpx.AsyncClient, published: Published
) -> None:
    given = [picture(8, 12), picture(4, 4)]
    outputs = await ask(client, "encode", [each.tolist() for each in given], model="sd-like")
    for pixels, output in zip(given, outputs, strict=True):
        posterior = published.kl.encode(torch.as_tensor(pixels)[None].float() * 2 - 1).latent_dist
        np.testing.assert_allclose(output["mean"], posterior.mean[0], rtol=TOLERANCE, atol=TOLERANCE)
        np.testing.assert_allclose(output["log_variance"], posterior.logvar[0], rtol=TOLERANCE, atol=TOLERANCE)
        assert output["latent"] == output["mean"]
    drawn = await ask(client, "encode", [given[0].tolist()] * 2, model="sd-like", sample=True, seed=5)
    np.testing.assert_allclose(drawn[0]["mean"], outputs[0]["mean"], atol=1e-5)
    assert drawn[0]["latent"] != drawn[0]["mean"]
    assert drawn[0]["latent"] != drawn[1]["latent"]
    (first,) = await ask(client, "reconstruct", [given[0].tolist()], model="sd-like", seed=5)
    (decoded,) = await ask(client, "decode", [drawn[0]["latent"]], model="sd-like")
    np.testing.assert_allclose(first["reconstruction"], decoded["reconstruction"], atol=1e-6)


async def test_a_model_that_overflows_in_float16_is_computed_in_float32(published: Published) -> None:
    async with served(Settings(weights_dir=published.root, dtype="float16")) as client:
        card = (await client.get("/models/sd-like")).json()
        assert (card["dtype"], card["state"]) == ("float32", "ready")
        assert "force_upcast" in card["dtype_reason"]


async def test_arrays_are_taken_and_answered(client: httpx.AsyncClient, published: Published) -> None:
    given = np.stack([picture(8, 12, seed) for seed in range(2)]).astype(np.float32)
    headers = {"content-type": "application/x-npy", "accept": "application/x-npy"}
    answer = await client.post("/encode?model=taesd-like", content=to_npy(given), headers=headers)
    latents = np.load(io.BytesIO(answer.content))
    np.testing.assert_allclose(latents[1], encoded_by_reference(published, given[1]), rtol=TOLERANCE, atol=TOLERANCE)
    answer = await client.post("/decode?model=taesd-like", content=to_npy(latents), headers=headers)
    assert np.load(io.BytesIO(answer.content)).shape == (2, 3, 8, 12)


async def test_the_card_and_the_metadata_have_open_sides(client: httpx.AsyncClient) -> None:
    card = (await client.get("/models/taesd-like")).json()
    assert (card["item"]["shape"], card["item"]["multiple"]) == ([3, -1, -1], SCALE)
    assert card["latent_shape"] == [4, -1, -1]
    assert card["limits"]["max_picture_pixels"] == 2**22
    tasks = {"encode", "decode", "reconstruct", "interpolate", "project", "denoise", "compress", "decompress"}
    assert set(card["tasks"]) == tasks
    metadata = (await client.get("/v2/models/taesd-like")).json()
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 3, -1, -1]}]
    outputs = {output["name"]: output["shape"] for output in metadata["outputs"]}
    assert outputs == {"reconstruction": [-1, 3, -1, -1], "latent": [-1, 4, -1, -1]}


async def test_the_open_inference_protocol_takes_any_size(client: httpx.AsyncClient, published: Published) -> None:
    pixels = picture(8, 12)
    tensor = {"name": "input", "shape": [1, 3, 8, 12], "datatype": "FP32", "data": pixels.ravel().tolist()}
    body = {"inputs": [tensor], "outputs": [{"name": "latent"}]}
    answer = (await client.post("/v2/models/taesd-like/infer", json=body)).json()
    (output,) = answer["outputs"]
    assert output["shape"] == [1, 4, 2, 3]
    expected = encoded_by_reference(published, pixels).flatten()
    np.testing.assert_allclose(output["data"], expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("task", "inputs", "pointer", "detail"),
    [
        ("encode", [picture(8, 8).tolist(), picture(8, 7).tolist()], "/inputs/1", "multiples of 4"),
        ("decode", [np.zeros((3, 2, 2)).tolist()], "/inputs/0", "expected numbers of shape [4, h, w]"),
        ("decode", [np.zeros((4, 1, 2**18 + 1)).tolist()], "/inputs/0", "takes at most 262144"),
        ("interpolate", [picture(8, 8).tolist(), picture(8, 4).tolist()], "/inputs/0", "4 x 8 and 8 x 8 pixels"),
        ("project", [picture(8, 8).tolist(), picture(8, 4).tolist()], "/inputs/0", "must have one size"),
    ],
)
async def test_other_sizes_are_refused(
    client: httpx.AsyncClient, task: str, inputs: Any, pointer: str, detail: str
) -> None:
    answer = await client.post(f"/{task}", json={"model": "taesd-like", "inputs": inputs})
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == pointer
    assert detail in fault["detail"]


async def test_a_picture_of_the_pipeline_keeps_its_size(client: httpx.AsyncClient) -> None:
    data = base64.b64encode(png_of(8, 12)).decode()
    answer = await client.post("/hf/taesd-like", json={"inputs": data})
    assert Image.open(io.BytesIO(answer.content)).size == (12, 8)
    size = {"target_size": {"width": 8, "height": 8}}
    refused = await client.post("/hf/taesd-like", json={"inputs": data, "parameters": size})
    assert "pictures of this model keep their size" in refused.json()["error"]


async def test_the_memory_of_the_networks_is_claimed_before_it_is_taken(published: Published) -> None:
    """The answer takes about 140 MiB, and the networks 96 MiB."""
    body = to_npy(np.zeros((4, 256, 256), dtype=np.float32))
    headers = {"content-type": "application/x-npy", "accept": "image/png"}
    for limit_mib, status in ((400, 200), (230, 413)):
        async with served(Settings(weights_dir=published.root, memory_limit=limit_mib * 2**20)) as client:
            answer = await client.post("/decode?model=taesd-like", content=body, headers=headers)
            assert answer.status_code == status, answer.text


async def test_a_picture_for_which_there_is_no_memory_as_a_whole_is_computed_in_strips(tmp_path: Path) -> None:
    """As a whole, the networks would take 192 MiB for it, and the answer takes 36 MiB; 210 MiB are left for both."""
    wide = {**ODD_KL["without attention"], "latent_channels": 4, "block_out_channels": (32, 8)}
    publish(tmp_path / "autoencoders/kl/wide", "AutoencoderKL", **wide)
    latent = np.random.default_rng(0).normal(size=(4, 256, 256)).astype(np.float32)
    headers = {"content-type": "application/x-npy", "accept": "image/png"}
    pictures = []
    for limit_mib in (2000, 240):
        async with served(Settings(weights_dir=tmp_path, memory_limit=limit_mib * 2**20)) as client:
            answer = await client.post("/decode?model=wide", content=to_npy(latent), headers=headers)
            assert answer.status_code == 200, answer.text
            pictures.append(np.asarray(Image.open(io.BytesIO(answer.content)), dtype=np.int16))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1
