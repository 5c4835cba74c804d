import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidRequest
from app.registry.defaults import Kind
from app.schemas.catalogue import task_endpoints
from app.schemas.shared.kinds import is_image, kind_of_inputs

ALL: tuple[Kind, ...] = ("text", "image", "item")
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def encoded(kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.new("L", (9, 9), 77).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("kind", FORMATS)
def test_base64_of_an_image_is_an_image(kind: str) -> None:
    assert is_image(encoded(kind))
    assert is_image(encoded(kind).replace("+", "-").replace("/", "_"))  # RFC 4648, 5
    assert is_image(f"\n{encoded(kind)[:7]}\r\n{encoded(kind)[7:]}")


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
    assert is_image(text)


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
        "UklGRiQAAABXQVZFZm10IA==",  # and so is that of a WAVE file
        "naïve",
        "GIF89a",
    ],
)
def test_any_other_string_is_a_text(text: str) -> None:
    assert not is_image(text)


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        ("hello", "text"),
        (["hello", encoded()[:6]], "text"),
        ({"text": "a", "text_pair": "b"}, "text"),
        (encoded(), "image"),
        ([encoded(), [[0.5]]], "image"),
        ([b"\x89PNG"], "image"),
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


def test_where_no_texts_are_taken_a_string_is_meant_as_an_image() -> None:
    assert kind_of_inputs("hello", ("image", "item")) == "image"
    assert kind_of_inputs("hello", ("item",)) == "item"  # a stream of `/decompress`


def test_each_task_takes_the_kinds_of_its_schemas() -> None:
    kinds = {endpoint.name: endpoint.kinds for endpoint in task_endpoints()}
    assert {name for name, its in kinds.items() if its == ALL} == {"encode", "classify", "project"}
    assert (kinds["similarity"], kinds["tokenize"]) == (("text",), ("text",))
    assert (kinds["reconstruct"], kinds["sample"], kinds["decode"]) == (("image", "item"), ("item",), ("item",))


def test_each_task_says_how_to_ask_for_less() -> None:
    ways = {endpoint.name: endpoint.to_save_time for endpoint in task_endpoints()}
    assert ways["generate"] == "send fewer or shorter texts, or lower `max_new_tokens`, `num_beams`, `n`"
    assert ways["sample"] == "lower `n`"
    assert ways["impute"] == "send fewer items, or lower `iterations`"
    assert all(ways.values())
