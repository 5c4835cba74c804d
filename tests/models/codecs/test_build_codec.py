"""Descriptions of items in checkpoints, and the codecs that are built from them."""

import math
import re
from typing import Any

import pytest

from models.codecs import Codec, ImageCodec, SeriesCodec, VectorCodec, build_codec
from models.errors import ConfigError
from models.pictures.placing import Style

SERIES: dict[str, Any] = {"modality": "series", "shape": [5, 2], "max_length": 8, "means": [0, 1], "deviations": [1, 2]}


@pytest.mark.parametrize(
    ("description", "codec"),
    [
        ({"modality": "image", "shape": [3, 4, 6]}, ImageCodec(3, 4, 6)),
        ({"modality": "vector", "shape": [3]}, VectorCodec((3,))),
        (SERIES, SeriesCodec(length=5, max_length=8, means=(0.0, 1.0), deviations=(1.0, 2.0))),
    ],
)
def test_a_codec_is_built_from_its_description(description: dict[str, Any], codec: Codec) -> None:
    assert build_codec(description) == codec


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({}, "codec.shape is None; it must be a list of positive integers"),
        ({"modality": "image", "shape": [1, 0, 4]}, "codec.shape is [1, 0, 4]; it must be a list of positive integers"),
        (
            {"modality": "sound", "shape": [4]},
            "codec.modality is 'sound'; it must be image, series, table, table_series or vector",
        ),
        ({"modality": "image", "shape": [2, 4, 4]}, "an image has [1 or 3 channels, height, width]"),
        (SERIES | {"shape": [5]}, "codec.shape is [5]; a series has [steps, channels]"),
        (SERIES | {"max_length": 4}, "codec.max_length is 4; it must be an integer of at least 5"),
        (SERIES | {"means": [0.0]}, "codec.means is [0.0]; it must be a finite number for each of 2 channels"),
        (SERIES | {"deviations": [1.0, "2"]}, "codec.deviations is [1.0, '2']; it must be a finite number for each"),
        (SERIES | {"means": [0, math.inf]}, "codec.means is [0, inf]; it must be a finite number for each"),
        (SERIES | {"deviations": [1, math.nan]}, "codec.deviations is [1, nan]; it must be a finite number for each"),
        (SERIES | {"deviations": [1, 10**400]}, "it must be a finite number for each"),
        (SERIES | {"deviations": [1.0, 0.0]}, "codec.deviations is [1.0, 0.0]; each must be positive"),
    ],
)
def test_an_invalid_description_is_refused(description: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_codec(description)


@pytest.mark.parametrize(
    ("description", "style"),
    [
        ({}, Style()),
        ({"paper": "white"}, Style("white")),
        ({"paper": "black", "ink_box": 4}, Style("black", 4)),
        ({"paper": None, "ink_box": None}, Style()),
    ],
)
def test_an_image_has_the_style_of_its_description(description: dict[str, Any], style: Style) -> None:
    assert build_codec({"modality": "image", "shape": [3, 4, 6], **description}) == ImageCodec(3, 4, 6, style)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"paper": "blue"}, "codec.paper is 'blue'; it must be black or white"),
        ({"paper": 0}, "codec.paper is 0; it must be black or white"),
        ({"paper": "black", "ink_box": 5}, "codec.ink_box is 5; beside codec.paper, it may be 1 to 4"),
        ({"paper": "black", "ink_box": 2.5}, "codec.ink_box is 2.5"),
        ({"ink_box": 2}, "codec.ink_box is 2; beside codec.paper"),
    ],
)
def test_an_unknown_style_is_refused(description: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_codec({"modality": "image", "shape": [1, 4, 6], **description})
