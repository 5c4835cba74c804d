import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidRequest
from app.registry.defaults import Kind
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.kinds import kind_of_file, kind_of_inputs

ALL: tuple[Kind, ...] = ("text", "image", "sound", "item")
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


WAV, FLAC = "UklGRiQAAABXQVZFZm10IA==", "ZkxhQwAAACIQABAAAAAA"
"""The beginnings of files of sound in base64."""


def encoded(kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.new("L", (9, 9), 77).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("kind", FORMATS)
def test_base64_of_an_image_is_an_image(kind: str) -> None:
    assert kind_of_file(encoded(kind)) == "image"
    assert kind_of_file(encoded(kind).replace("+", "-").replace("/", "_")) == "image"  # RFC 4648, 5
    assert kind_of_file(f"\n{encoded(kind)[:7]}\r\n{encoded(kind)[7:]}") == "image"


@pytest.mark.parametrize(
    "text",
    [
        "data:image/png;base64,iVBORw0KGgo=",
        "DATA:image/png;base64,iVBORw0KGgo=",
        "data:image/svg+xml,<svg/>",
        "data:;base64,iVBORw0KGgo=",
        " data:application/octet-stream;base64,AAAA",
    ],
)
def test_a_data_url_of_an_image_or_of_bytes_is_an_image(text: str) -> None:
    assert kind_of_file(text) == "image"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "data: the results show, that",
        "data:text,hello",
        "Data:",
        "iVBO",
        "/9j/ is how base64 of a JPEG begins",
        "RIFF",
        "BM is a bitmap",
        "aGVsbG8gd29ybGQ=",  # base64 of a text is a text
        "naïve",
        "GIF89a",
    ],
)
def test_any_other_string_is_a_text(text: str) -> None:
    assert kind_of_file(text) is None


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        ("hello", "text"),
        (["hello", encoded()[:6]], "text"),
        ({"text": "a", "text_pair": "b"}, "text"),
        ({"pressure": 2.5}, "item"),
        ({"text": "a", "pressure": 2.5}, "item"),
        ([["A", None, "rides"]], "text"),
        ([[None, None]], "item"),
        ([["A", 2]], "item"),
        (encoded(), "image"),
        ([encoded(), [[0.5]]], "image"),
        ([b"\x89PNG"], "image"),
        (WAV, "sound"),
        ([FLAC, [0.5]], "sound"),
        ("data:audio/ogg;base64,AAAA", "sound"),
        ([b"OggS\0\2"], "sound"),
        ([0.5, 0.25], "item"),
        ([[1, 2, 3]], "item"),
        ([[1, 2, 3], "hello"], "text"),
        (np.zeros((1, 4), np.float32), "item"),
        ([], "item"),
        (None, "item"),
    ],
)
def test_the_kind_of_inputs(inputs: Any, kind: Kind) -> None:
    assert kind_of_inputs(inputs, ALL) == kind


def test_texts_and_images_together_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="/inputs: some are encoded images and some are texts"):
        kind_of_inputs(["hello", encoded()], ALL)


def test_images_and_sounds_together_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="/inputs: some are encoded images and some are files of sound"):
        kind_of_inputs([WAV, encoded()], ALL)


def test_where_no_sounds_are_taken_base64_of_one_is_a_text_and_a_data_url_is_none() -> None:
    assert kind_of_inputs(WAV, ("text", "image", "item")) == "text"
    assert kind_of_inputs("data:audio/wav;base64,AAAA", ("text", "image", "item")) == "image"


def test_where_no_texts_are_taken_a_string_is_meant_as_an_image() -> None:
    assert kind_of_inputs("hello", ("image", "item")) == "image"
    assert kind_of_inputs("hello", ("item",)) == "item"  # a stream of `/decompress`


def test_each_task_takes_the_kinds_of_its_schemas() -> None:
    kinds = {endpoint.name: endpoint.kinds for endpoint in task_endpoints()}
    assert kinds["encode"] == ALL
    found = {name for name, its in kinds.items() if its == ("text", "image", "item")}
    assert found == {"interpolate", "impute"}
    assert kinds["classify"] == kinds["project"] == kinds["denoise"] == kinds["detect_anomalies"] == ALL
    assert (kinds["similarity"], kinds["tokenize"]) == (("text",), ("text",))
    assert kinds["reconstruct"] == kinds["compress"] == ALL
    assert (kinds["decode"], kinds["score_text"]) == (("item",), ("text",))
    assert (kinds["sample"], kinds["decode"]) == (("item",), ("item",))


def test_each_task_says_how_to_ask_for_less() -> None:
    ways = {endpoint.name: endpoint.to_save_time for endpoint in task_endpoints()}
    assert ways["generate"] == "send fewer or shorter texts, or lower `max_new_tokens`, `num_beams`, `n`"
    assert ways["sample"] == "lower `n`"
    assert ways["impute"] == "send fewer or smaller items, or lower `iterations`"
    assert ways["encode"] == "send fewer or smaller items"  # texts, pictures and others
    assert all(ways.values())
