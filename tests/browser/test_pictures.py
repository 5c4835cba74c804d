"""The panel of pictures of any size: a picture beside what a stream of it gives back."""

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from tests.app.server import Served, serve
from tests.browser.conftest import VIEWS, Visit, visit_with
from tests.conftest import write_tiny
from tests.models.autoencoders.diffusers_reference import publish
from tests.models.autoencoders.test_kl import ODD as ODD_KL
from tests.models.autoencoders.test_tiny import ODD

MODELS = ("sd-like", "taesd-like")


@pytest.fixture(scope="module")
def picture_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of two published autoencoders of pictures with random weights."""
    weights = tmp_path_factory.mktemp("weights")
    publish(weights / "autoencoders/kl" / MODELS[0], "AutoencoderKL", **ODD_KL["narrow"])
    publish(weights / "autoencoders/tiny" / MODELS[1], "AutoencoderTiny", **ODD["narrow"])
    with serve(tmp_path_factory.mktemp("pictures"), weights=weights) as served:
        yield served


@pytest.fixture(params=VIEWS)
def pictures(request: pytest.FixtureRequest, chromium: Browser, picture_server: Served) -> Iterator[Visit]:
    yield from visit_with(VIEWS[request.param], chromium, picture_server.url)


def card(visit: Visit, title: str) -> Locator:
    return visit.page.get_by_role("region", name=title, exact=True)


def pixels(shown: Locator) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """The colours on the canvas of a card, `[H, W, 3]`."""
    url: str = shown.locator("canvas").evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def test_a_picture_is_compressed_with_the_bits_that_are_chosen(pictures: Visit, tmp_path: Path) -> None:
    pictures.open(f"pictures?model={MODELS[1]}&side=64")
    page = pictures.page
    expect(page.get_by_role("link", name="Pictures")).to_be_visible()
    noise = np.random.default_rng(0).integers(0, 256, (40, 100, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    page.get_by_label("Open a picture").set_input_files(tmp_path / "noise.png")
    original, restored = card(pictures, "The picture"), card(pictures, "What is left of it")
    expect(original).to_contain_text("64 x 24 pixels4608 bytes as raw pixels")  # the nearest multiples of 4 or 8
    expect(card(pictures, "The latent")).to_contain_text(re.compile(r"\d channels of \d+ x \d+ numbers"))
    (large,) = re.findall(r"^What is left of it(\d+) bytes", restored.text_content() or "")
    page.get_by_label("Bits").fill("2")
    expect(page).to_have_url(re.compile("bits=2"))
    expect(restored).not_to_contain_text(f"{large} bytes")
    (small,) = re.findall(r"^What is left of it(\d+) bytes", restored.text_content() or "")
    assert int(small) < int(large)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the stream as a file").click()
    stream = Path(download.value.path()).read_bytes()
    assert (download.value.suggested_filename, len(stream)) == (f"{MODELS[1]}-2-bits.mfld", int(small))
    body = {"model": MODELS[1], "inputs": [base64.b64encode(stream).decode()]}
    (output,) = httpx.post(f"{pictures.url}/decompress", json=body).json()["outputs"]
    answered = np.transpose(output["items"][0], (1, 2, 0))
    assert np.abs(pixels(restored) / 255 - answered).max() < 1 / 255
    expected = np.abs(pixels(original).astype(int) - pixels(restored)) * 8
    assert np.abs(pixels(card(pictures, "The difference")) - expected.clip(0, 255)).max() <= 8
    pictures.check_width()
    pictures.check_accessibility()


def test_every_model_of_pictures_shows_an_example(pictures: Visit) -> None:
    for name in MODELS:
        pictures.open(f"pictures?model={name}&side=64&example=evening")
        expect(card(pictures, "The picture")).to_contain_text("64 x 48 pixels")
        expect(card(pictures, "What is left of it")).to_contain_text("bits a pixel")
        assert len(np.unique(pixels(card(pictures, "The picture")).reshape(-1, 3), axis=0)) > 10


def test_what_is_no_picture_is_told(chromium: Browser, picture_server: Served, tmp_path: Path) -> None:
    for visit in visit_with(VIEWS["light"], chromium, picture_server.url):
        visit.open("pictures?side=64")
        (tmp_path / "text.png").write_bytes(b"no picture")
        visit.page.get_by_label("Open a picture").set_input_files(tmp_path / "text.png")
        expect(visit.page.get_by_role("alert")).to_contain_text("This browser cannot read the picture")


def test_a_server_without_such_models_offers_no_panel(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    weights = tmp_path_factory.mktemp("weights")
    write_tiny(weights)
    with serve(tmp_path_factory.mktemp("none"), weights=weights) as served:
        for visit in visit_with(VIEWS["light"], chromium, served.url):
            visit.open("pictures")
            expect(visit.page.get_by_text("No model of pictures of any size is loaded.")).to_be_visible()
            expect(visit.page.get_by_role("link", name="Pictures")).to_be_hidden()
