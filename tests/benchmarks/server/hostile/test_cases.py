"""The cases: what they send is what their names say."""

import io

import pytest
from PIL import Image

from benchmarks.server.hostile.cases import all_cases
from benchmarks.server.hostile.cases.pictures import RGBA, jpeg_with_scans, png
from benchmarks.server.hostile.visitor import json_request
from benchmarks.server.soak.rogue import cases as roaming_cases


def test_all_modules_contribute_under_different_names() -> None:
    names = list(all_cases())
    assert names[0] == "control"
    for name in ("png-grey16-4", "parts-zeros", "ligatures-albert-1048576", "unread-answers", "load-all", "unread-log"):
        assert name in names
    assert all(name == case.name for name, case in all_cases().items())


def test_cases_that_need_a_server_of_their_own_do_not_roam() -> None:
    names = {case.name for case in roaming_cases()}
    assert names < all_cases().keys()
    assert not names & {"control", "load-all", "sighup-storm", "no-file-descriptors", "left-with-pipeline"}
    assert {"png-rgba", "json-deep", "unread-answers", "one-text-1mb"} <= names


@pytest.mark.parametrize(
    ("colour", "depth", "is_interlaced", "mode"),
    [(0, 8, False, "L"), (0, 16, False, "I;16"), (RGBA, 8, False, "RGBA"), (0, 8, True, "L"), (RGBA, 8, True, "RGBA")],
)
def test_pngs_can_be_decoded(colour: int, depth: int, is_interlaced: bool, mode: str) -> None:
    image = Image.open(io.BytesIO(png(13, 7, colour=colour, depth=depth, is_interlaced=is_interlaced)))
    image.load()
    assert (image.size, image.mode) == ((13, 7), mode)
    assert image.getextrema() in ((0, 0), ((0, 0),) * 4)


def test_a_png_without_pixels_claims_its_size_and_cannot_be_decoded() -> None:
    data = png(8192, 8192, pixels=False)
    assert len(data) < 100
    image = Image.open(io.BytesIO(data))
    assert image.size == (8192, 8192)
    with pytest.raises(OSError, match="image file is truncated"):
        image.load()


def test_the_scans_of_a_progressive_jpeg_are_repeated() -> None:
    few, many = jpeg_with_scans(64, 2), jpeg_with_scans(64, 50)
    assert many.count(b"\xff\xda") - few.count(b"\xff\xda") == 48
    image = Image.open(io.BytesIO(many))
    image.load()
    assert image.size == (64, 64)


def test_headers_of_json_requests_are_named_with_underscores() -> None:
    assert b"\r\nx-timeout-ms: 5\r\n" in json_request("/x", {"a": 1}, x_timeout_ms="5")
    assert json_request("/x", b"[" * 9).endswith(b"[" * 9)
