"""The panel of compression: streams of the server beside files of the browser."""

import base64
import re
from pathlib import Path

import httpx
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.test_latent import classify, picture_of, wait_for_change

MODEL = "vae-mnist"
ROWS = ".scroll tbody tr"
SEVEN = Path(__file__).parents[2] / "docs/examples/seven.png"


def card(visit: Visit, title: str) -> Locator:
    return visit.page.get_by_role("region", name=title, exact=True)


def n_bytes(text: str | None) -> int:
    found = re.search(r"(\d+) bytes", text or "")
    assert found
    return int(found[1])


def psnr(text: str | None) -> float:
    found = re.search(r"PSNR (\d+\.\d) dB", text or "")
    assert found
    return float(found[1])


def wait_measured(visit: Visit) -> None:
    """Wait until the chart has all streams and files of the picture."""
    expect(visit.page.locator(ROWS)).to_have_count(16)


def test_fewer_bits_make_a_smaller_stream_of_less_quality(visit: Visit) -> None:
    visit.open("compression?bits=10&example=5")
    stream, page = card(visit, "The stream"), visit.page
    expect(stream).to_contain_text("PSNR")
    wait_measured(visit)
    fine, fine_picture = stream.text_content(), picture_of(stream.locator("canvas"))
    page.get_by_label("Bits", exact=True).fill("2")
    expect(page).to_have_url(re.compile("bits=2"))
    row = page.locator(ROWS).nth(1).locator("td")
    page.get_by_text("The numbers of the streams").click()
    expect(row.first).to_have_text("2")
    expect(stream).to_contain_text(f"{row.nth(1).text_content()} bytes")
    expect(stream).to_contain_text(f"PSNR {row.nth(2).text_content()} dB")
    coarse = stream.text_content()
    assert n_bytes(coarse) < n_bytes(fine)
    assert psnr(coarse) < psnr(fine)
    assert picture_of(stream.locator("canvas")) != fine_picture
    visit.check_width()
    visit.check_accessibility()


def test_the_stream_is_compared_with_files_of_the_same_picture(visit: Visit) -> None:
    visit.open("compression?example=3")
    wait_measured(visit)
    original, stream = card(visit, "The picture"), card(visit, "The stream")
    expect(original).to_contain_text("784 bytes as raw pixels")
    picture = picture_of(original.locator("canvas"))
    body = {"model": MODEL, "inputs": [picture], "parameters": {"bits": 8}}
    (compressed,) = httpx.post(f"{visit.url}/compress", json=body).json()["outputs"]
    expect(stream).to_contain_text(f"{compressed['bytes']} bytes")
    expect(stream).to_contain_text(f"PSNR {compressed['psnr']:.1f} dB")
    body = {"model": MODEL, "inputs": [picture], "parameters": {"iterations": 1, "format": "png"}}
    (same,) = httpx.post(f"{visit.url}/impute", json=body).json()["outputs"]
    png = base64.b64decode(same["imputed"].partition(",")[2])
    expect(original).to_contain_text(f"{len(png)} bytes as PNG")
    for name in ("JPEG", "WebP"):
        file = card(visit, name)
        text = file.text_content()
        assert abs(psnr(text) - compressed["psnr"]) < 10
        sizes = visit.page.locator(".bars span", has_text=re.compile(f"^{n_bytes(text)} bytes$"))
        expect(sizes.first).to_be_visible()
        assert n_bytes(text) > compressed["bytes"]


def test_a_picture_is_opened(visit: Visit) -> None:
    visit.open("compression")
    wait_measured(visit)
    before = picture_of(card(visit, "The stream").locator("canvas"))
    visit.page.get_by_label("Open a picture").set_input_files(SEVEN)
    wait_for_change(visit, "[aria-label='Picture: The stream']", before)
    for title in ("The picture", "The stream"):
        assert classify(visit, card(visit, title).locator("canvas")) == "7"


def test_a_stream_is_saved_as_a_file_and_opened_again(visit: Visit, tmp_path: Path) -> None:
    visit.open("compression?example=8&bits=6")
    page, stream = visit.page, card(visit, "The stream")
    expect(stream).to_contain_text("bytes")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the stream as a file").click()
    assert download.value.suggested_filename == f"{MODEL}-6-bits.mfld"
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    data = path.read_bytes()
    assert data.startswith(b"MFLD")
    assert len(data) == n_bytes(stream.text_content())
    page.get_by_role("button", name="2", exact=True).click()
    page.get_by_label("Open a stream").set_input_files(path)
    opened = card(visit, "From a file")
    expect(opened).to_contain_text(f"{path.name}{len(data)} bytes")
    body = {"model": MODEL, "inputs": [base64.b64encode(data).decode()], "parameters": {"format": "png"}}
    (output,) = httpx.post(f"{visit.url}/decompress", json=body).json()["outputs"]
    classes = []
    for picture in (output["items"][0], picture_of(opened.locator("canvas"))):
        answer = httpx.post(f"{visit.url}/classify", json={"model": "denoising-ae-mnist", "inputs": [picture]})
        classes.append(answer.json()["outputs"][0]["labels"][0])
    assert classes[0]["label"] == classes[1]["label"] == "8"
    assert abs(classes[0]["score"] - classes[1]["score"]) < 0.01


def test_a_stream_of_another_model_is_refused_in_words(visit: Visit, tmp_path: Path) -> None:
    item = [0.0] * 784
    body = {"model": "conv-ae-mnist", "inputs": [item]}
    (output,) = httpx.post(f"{visit.url}/compress", json=body).json()["outputs"]
    path = tmp_path / "other.mfld"
    path.write_bytes(base64.b64decode(output["stream"]))
    visit.open("compression")
    expect(card(visit, "The stream")).to_contain_text("bytes")
    wait_measured(visit)
    visit.page.get_by_label("Open a stream").set_input_files(path)
    expect(visit.page.get_by_role("alert")).to_contain_text("the stream was made by another model")
    assert [fault.partition(":")[0] for fault in visit.faults] == ["Failed to load resource"]
    visit.faults.clear()


def test_lossless_streams_lose_nothing_and_are_offered_where_there_are_any(visit: Visit) -> None:
    visit.open("compression?example=4&lossless=true")
    original, stream = card(visit, "The picture"), card(visit, "The stream")
    expect(stream).to_contain_text("nothing is lost")
    expect(original).to_contain_text("98 bytes as raw pixels")
    assert picture_of(stream.locator("canvas")) == picture_of(original.locator("canvas"))
    lossless = visit.page.get_by_label("Lossless")
    expect(visit.page.get_by_label("Bits", exact=True)).to_be_disabled()
    lossless.uncheck()
    expect(stream).to_contain_text("PSNR")
    visit.page.get_by_label("Model").select_option("conv-ae-mnist")
    expect(lossless).to_be_hidden()


def test_pictures_in_colour_are_compressed(visit: Visit) -> None:
    visit.open("compression?model=conv-ae-colour&example=evening")
    wait_measured(visit)
    original, stream = card(visit, "The picture"), card(visit, "The stream")
    expect(original).to_contain_text("3072 bytes as raw pixels")
    assert psnr(stream.text_content()) > 20
    script = """canvas => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.some((_, place) => place % 4 === 0 && Math.abs(data[place] - data[place + 2]) > 50);
    }"""
    for shown in (original, stream, card(visit, "JPEG")):
        assert shown.locator("canvas").evaluate(script)
    visit.check_width()
