"""The protocol of `diffusers.utils.remote_utils`: the library's own client over a real socket, and what is refused."""

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.app.server import Served, serve
from tests.conftest import write_tiny
from tests.models.autoencoders.diffusers_reference import assert_close, publish
from tests.models.autoencoders.test_kl import ODD

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers.image_processor import VaeImageProcessor
    from diffusers.utils.remote_utils import remote_decode, remote_encode

FACTOR, SHIFT = 0.18215, 0.5
"""Those of the checkpoint."""
LATENTS = torch.randn(1, 4, 4, 6, generator=torch.Generator().manual_seed(0)) * FACTOR
PICTURE_QUERY = "shape=1&shape=3&shape=2&shape=2&dtype=float32"
"""The query of 48 bytes that are a picture."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def reference(weights: Path) -> Any:
    return publish(weights / "autoencoders/kl/vae", "AutoencoderKL", **ODD["narrow"])


@pytest.fixture(scope="module")
def server(weights: Path, reference: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    write_tiny(weights)
    publish(weights / "autoencoders/kl/normalising", "AutoencoderKL", **ODD["narrow"], latents_mean=[1.0] * 4)
    with serve(tmp_path_factory.mktemp("log"), weights=weights) as served:
        yield served


@pytest.fixture
def decode_url(server: Served) -> str:
    return f"{server.url}/diffusers/vae/decode"


@pytest.fixture
def encode_url(server: Served) -> str:
    return f"{server.url}/diffusers/vae/encode"


def decoded(reference: Any, latents: Tensor) -> Tensor:
    """What a pipeline makes of scaled latents, in [-1, 1]."""
    sample: Tensor = reference.decode(latents.float() / FACTOR + SHIFT).sample
    return sample.clamp(-1, 1)


def assert_same_tensor(output: object, expected: Tensor) -> None:
    assert isinstance(output, Tensor)
    assert_close(output, expected)


def levels(pictures: Tensor) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
    """The levels of pictures in [-1, 1], `[n, height, width, channels]`."""
    return ((pictures + 1) * 127.5).round().numpy().transpose(0, 2, 3, 1).astype(np.int16)


def test_a_tensor_is_decoded_as_by_the_library(decode_url: str, reference: Any) -> None:
    output = remote_decode(
        decode_url, LATENTS, scaling_factor=FACTOR, shift_factor=SHIFT, output_type="pt", return_type="pt"
    )
    assert_same_tensor(output, decoded(reference, LATENTS))


def test_several_latents_are_decoded_together(decode_url: str, reference: Any) -> None:
    latents = torch.cat([LATENTS, -LATENTS])
    output = remote_decode(
        decode_url, latents, scaling_factor=FACTOR, shift_factor=SHIFT, output_type="pt", return_type="pt"
    )
    assert_same_tensor(output, decoded(reference, latents))


@pytest.mark.parametrize("image_format", ["png", "jpg"])
def test_a_picture_is_answered_as_a_file(image_format: Any, decode_url: str, reference: Any) -> None:
    picture = remote_decode(decode_url, LATENTS, scaling_factor=FACTOR, shift_factor=SHIFT, image_format=image_format)
    assert isinstance(picture, Image.Image)
    file = io.BytesIO()
    expected = Image.fromarray(levels(decoded(reference, LATENTS))[0].astype(np.uint8))
    expected.save(file, "PNG" if image_format == "png" else "JPEG", quality=95)
    difference = np.asarray(picture).astype(np.int16) - np.asarray(Image.open(file))
    assert difference.shape == (8, 12, 3)
    assert np.abs(difference).mean() <= 1


def test_levels_are_answered_as_bytes(decode_url: str, reference: Any) -> None:
    picture = remote_decode(
        decode_url, LATENTS, scaling_factor=FACTOR, shift_factor=SHIFT, output_type="pt", partial_postprocess=True
    )
    difference = np.asarray(picture).astype(np.int16) - levels(decoded(reference, LATENTS))[0]
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("output_type", ["pt", "pil"])
def test_a_processor_of_the_client_makes_the_picture(output_type: Any, decode_url: str, reference: Any) -> None:
    picture = remote_decode(
        decode_url,
        LATENTS,
        processor=VaeImageProcessor(),
        scaling_factor=FACTOR,
        shift_factor=SHIFT,
        output_type=output_type,
    )
    first = picture[0] if isinstance(picture, list) else picture
    difference = np.asarray(first).astype(np.int16) - levels(decoded(reference, LATENTS))[0]
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_latents_of_16_bits_are_decoded(dtype: torch.dtype, decode_url: str, reference: Any) -> None:
    latents = LATENTS.to(dtype)
    url = f"{decode_url}?shape=1&shape=4&shape=4&shape=6&dtype={str(dtype).removeprefix('torch.')}"
    query = f"&scaling_factor={FACTOR}&shift_factor={SHIFT}&output_type=pt"
    answer = httpx.post(url + query, content=latents.view(torch.int16).numpy().tobytes())
    kind = np.float16 if dtype == torch.float16 else np.float32
    assert answer.headers["dtype"] == np.dtype(kind).name
    output = torch.from_numpy(np.frombuffer(answer.content, kind).reshape(1, 3, 8, 12).astype(np.float32))
    torch.testing.assert_close(output, decoded(reference, latents), rtol=0, atol=2e-3)


def test_the_scaling_of_the_checkpoint_is_undone_where_none_is_given(decode_url: str, reference: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        output = remote_decode(decode_url, LATENTS, output_type="pt", return_type="pt")
    assert_same_tensor(output, decoded(reference, LATENTS))
    raw = remote_decode(decode_url, LATENTS, do_scaling=False, output_type="pt", return_type="pt")
    assert_same_tensor(raw, reference.decode(LATENTS).sample.clamp(-1, 1))


def test_packed_latents_are_unpacked(decode_url: str, reference: Any) -> None:
    packed = LATENTS.view(1, 4, 2, 2, 3, 2).permute(0, 2, 4, 1, 3, 5).reshape(1, 6, 16).contiguous()
    output = remote_decode(
        decode_url,
        packed,
        scaling_factor=FACTOR,
        shift_factor=SHIFT,
        output_type="pt",
        return_type="pt",
        height=8,
        width=12,
    )
    assert_same_tensor(output, decoded(reference, LATENTS))


def test_a_tensor_is_encoded_to_scaled_means(encode_url: str, reference: Any) -> None:
    pictures = torch.rand(2, 3, 8, 12) * 2 - 1
    mean = reference.encode(pictures).latent_dist.mean
    assert_close(remote_encode(encode_url, pictures), mean)
    scaled = remote_encode(encode_url, pictures, scaling_factor=FACTOR, shift_factor=SHIFT)
    assert_close(scaled, (mean - SHIFT) * FACTOR)


def test_a_picture_is_encoded(encode_url: str, reference: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    expected = reference.encode(VaeImageProcessor(vae_scale_factor=2).preprocess(Image.fromarray(pixels)))
    assert_close(remote_encode(encode_url, Image.fromarray(pixels)), expected.latent_dist.mean)


def test_what_was_encoded_is_decoded(encode_url: str, decode_url: str, reference: Any) -> None:
    picture = torch.rand(1, 3, 8, 8) * 2 - 1
    latents = remote_encode(encode_url, picture, scaling_factor=FACTOR, shift_factor=SHIFT)
    output = remote_decode(
        decode_url, latents, scaling_factor=FACTOR, shift_factor=SHIFT, output_type="pt", return_type="pt"
    )
    assert_same_tensor(output, reference(picture).sample.clamp(-1, 1))


@pytest.mark.parametrize(
    ("path", "query", "content", "status", "error"),
    [
        ("vae/decode", "shape=1&shape=4&shape=1&shape=1&dtype=float32", bytes(15), 422, "the tensor has 15 bytes"),
        ("vae/decode", "shape=1&shape=3&shape=1&shape=1&dtype=float32", bytes(12), 422, "latents[0]: the shape is"),
        ("vae/decode", "shape=0&dtype=float32", b"", 422, "shape[0]: "),
        (
            "vae/decode",
            "shape=1&shape=4&shape=1&shape=1&dtype=int8",
            bytes(4),
            422,
            "dtype: 'int8' is refused: input should be 'float32', 'float16' or 'bfloat16'",
        ),
        ("vae/decode", "shape=1&shape=4&shape=1&shape=1", bytes(16), 422, "dtype: this field is required"),
        (
            "vae/decode",
            "shape=4&dtype=float32&output_type=mp4",
            bytes(16),
            422,
            "output_type: 'mp4' is refused: input should be 'pil' or 'pt'",
        ),
        (
            "vae/decode",
            "shape=1&shape=1&shape=4&shape=1&shape=1&dtype=float32",
            bytes(16),
            422,
            "is refused: a tensor has at most 4 axes, and this one 5",
        ),
        ("vae/decode", "shape=4&dtype=float32&dtype=float16", bytes(16), 422, "dtype: this parameter is given twice"),
        ("vae/decode", "shape=4&dtype=float32&tile=1", bytes(16), 422, "tile: unknown field"),
        ("vae/decode", "shape=1&shape=1&shape=16&dtype=float32", bytes(64), 422, "height: packed latents need"),
        (
            "vae/decode",
            "shape=1&shape=1&shape=16&dtype=float32&height=8&width=4",
            bytes(64),
            422,
            "shape: the packed latents have the shape [1, 1, 16]; 4 x 8 pixels take 2 positions",
        ),
        (
            "vae/decode",
            "shape=2&shape=4&shape=1&shape=1&dtype=float32",
            bytes(32),
            422,
            "output_type: the latents are 2 pictures",
        ),
        (
            "vae/decode",
            "shape=1&shape=4&shape=1&shape=1&dtype=float32&scaling_factor=0",
            bytes(16),
            422,
            "scaling_factor: '0' is refused: a factor must be other than 0",
        ),
        (
            "normalising/decode",
            "shape=1&shape=4&shape=1&shape=1&dtype=float32&do_scaling=True",
            bytes(16),
            422,
            "do_scaling: this model scales latents by latents_mean",
        ),
        ("vae/encode", "dtype=float32", bytes(16), 422, "shape: a tensor has both a shape and a dtype"),
        (
            "vae/encode",
            "shape=1&shape=3&shape=2&shape=2&dtype=float32",
            np.full(12, 1.5, np.float32).tobytes(),
            422,
            "the tensor has the value 1.5; pictures have values in [-1, 1]",
        ),
        *(
            ("vae/encode", f"{PICTURE_QUERY}&scaling_factor={factor}", bytes(48), 422, f"scaling_factor: {error}")
            for factor, error in (
                ("0", "'0' is refused: a factor must be other than 0"),
                ("1e-40", "'1e-40' is refused: a factor must be other than 0"),
                ("nan", "'nan' is refused: input should be a finite number"),
                ("1e39", "latents less 0, times 1e+39, are beyond the range of float32"),
            )
        ),
        ("vae/encode", f"{PICTURE_QUERY}&shift_factor=inf", bytes(48), 422, "shift_factor: 'inf' is refused"),
        ("vae/encode", "", b"no picture", 400, "the bytes are not a readable image"),
        ("tiny-ae/decode", "shape=1&shape=2&dtype=float32", bytes(8), 422, "latents"),
        ("unknown/decode", "shape=4&dtype=float32", bytes(16), 404, "unknown"),
    ],
)
def test_other_requests_are_refused(
    server: Served, path: str, query: str, content: bytes, status: int, error: str
) -> None:
    answer = httpx.post(f"{server.url}/diffusers/{path}?{query}", content=content)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    assert error in answer.json()["error"]


def test_the_client_raises_what_is_wrong(decode_url: str) -> None:
    with pytest.raises(RuntimeError, match=r"the shape is \[3, 1, 1\]"):
        remote_decode(decode_url, torch.zeros(1, 3, 1, 1), do_scaling=False)


def test_a_model_of_one_size_is_decoded_as_well(server: Served) -> None:
    answer = httpx.post(
        f"{server.url}/diffusers/tiny-ae/encode?shape=1&shape=1&shape=4&shape=4&dtype=float32", content=bytes(64)
    )
    shape = answer.headers["shape"].strip("[]").split(", ")
    query = "&".join(["dtype=float32", "image_format=png", *(f"shape={side}" for side in shape)])
    picture = httpx.post(f"{server.url}/diffusers/tiny-ae/decode?{query}", content=answer.content)
    assert picture.status_code == 200, picture.text
    assert Image.open(io.BytesIO(picture.content)).size == (4, 4)


@pytest.mark.parametrize(("operation", "items"), [("decode", "latents"), ("encode", "pictures")])
def test_a_passed_deadline_speaks_of_what_was_sent(server: Served, operation: str, items: str) -> None:
    shape = {"decode": (1, 4, 256, 256), "encode": (1, 3, 512, 512)}[operation]
    query = "&".join(["dtype=float32", *(f"shape={side}" for side in shape)])
    answer = httpx.post(
        f"{server.url}/diffusers/vae/{operation}?{query}",
        content=bytes(4 * int(np.prod(shape))),
        headers={"x-timeout-ms": "1"},
    )
    assert answer.status_code == 504
    assert answer.json()["error"].startswith(f"the answer was not ready within 1 ms; send fewer or smaller {items}; or")
