"""Codecs: they convert plain values, such as JSON numbers, arrays and encoded files, to tensors and back.

A codec checks everything that comes from a client. There is one for each kind of item (audio, image, series, table,
vector, sentence, text); `arrays` has what those of numbers share.
"""

from collections.abc import Mapping
from typing import Any, get_args

from models.codecs.arrays import MAX_FLOAT32
from models.codecs.audio import AudioCodec
from models.codecs.image import ImageCodec
from models.codecs.picture import LatentPictureCodec, PictureCodec
from models.codecs.sentence import SentenceCodec, read_sentence_codec
from models.codecs.series import SeriesCodec
from models.codecs.table import TableCodec, TableSeriesCodec, build_table_codec, build_table_series_codec
from models.codecs.text import TextCodec
from models.codecs.vector import VectorCodec
from models.errors import ConfigError
from models.pictures.placing import Paper, Style

__all__ = [
    "AudioCodec",
    "Codec",
    "ImageCodec",
    "ItemCodec",
    "LatentCodec",
    "LatentPictureCodec",
    "PictureCodec",
    "SentenceCodec",
    "SeriesCodec",
    "TableCodec",
    "TableSeriesCodec",
    "TextCodec",
    "VectorCodec",
    "build_codec",
    "read_sentence_codec",
]

LatentCodec = LatentPictureCodec | VectorCodec
ItemCodec = ImageCodec | SentenceCodec | SeriesCodec | TableCodec | TableSeriesCodec | VectorCodec
Codec = ItemCodec | AudioCodec | TextCodec


def build_codec(spec: Mapping[str, Any]) -> ItemCodec:
    """Build the codec that a checkpoint describes, for example as `{"modality": "image", "shape": [1, 28, 28]}`.

    Images may have a `paper`, `black` or `white`, and with it an `ink_box`; see `models.pictures.placing.Style`. The
    codec of sentences reads a file as well; see `read_sentence_codec`.

    Raises:
        ConfigError: the modality is unknown, it has no such shape, or a number is missing or out of range.
    """
    if not isinstance(spec, Mapping):
        raise ConfigError(f"codec is {spec!r}; it must be an object")
    modality, shape = spec.get("modality"), spec.get("shape")
    sides = tuple(shape) if isinstance(shape, list) else ()
    if not sides or not all(type(side) is int and side > 0 for side in sides):
        raise ConfigError(f"codec.shape is {shape!r}; it must be a list of positive integers")
    if modality == "vector":
        return VectorCodec(sides)
    if modality == "series":
        return _build_series_codec(spec, sides)
    if modality == "table":
        return build_table_codec(spec)
    if modality == "table_series":
        return build_table_series_codec(spec)
    if modality != "image":
        raise ConfigError(f"codec.modality is {modality!r}; it must be image, series, table, table_series or vector")
    if len(sides) != 3 or sides[0] not in (1, 3):
        raise ConfigError(f"codec.shape is {shape!r}; an image has [1 or 3 channels, height, width]")
    return ImageCodec(*sides, style=_picture_style(spec, max_box=min(sides[1:])))


def _picture_style(spec: Mapping[str, Any], max_box: int) -> Style:
    """Return the style that `paper` (`black` or `white`) and `ink_box` say; photographs have neither."""
    paper, ink_box = spec.get("paper"), spec.get("ink_box")
    if paper not in (None, *get_args(Paper)):
        raise ConfigError(f"codec.paper is {paper!r}; it must be {' or '.join(get_args(Paper))}")
    if ink_box is not None and not (paper and type(ink_box) is int and 1 <= ink_box <= max_box):
        raise ConfigError(f"codec.ink_box is {ink_box!r}; beside codec.paper, it may be 1 to {max_box}")
    return Style(paper, ink_box)


def _build_series_codec(spec: Mapping[str, Any], sides: tuple[int, ...]) -> SeriesCodec:
    if len(sides) != 2:
        raise ConfigError(f"codec.shape is {list(sides)}; a series has [steps, channels]")
    length, n_channels = sides
    max_length, means, deviations = (spec.get(name) for name in ("max_length", "means", "deviations"))
    if type(max_length) is not int or max_length < length:
        raise ConfigError(f"codec.max_length is {max_length!r}; it must be an integer of at least {length}")
    for name, numbers in (("means", means), ("deviations", deviations)):
        has_length = isinstance(numbers, list) and len(numbers) == n_channels
        if not has_length or not all(
            type(number) in (int, float) and abs(number) <= MAX_FLOAT32 for number in numbers or ()
        ):
            raise ConfigError(
                f"codec.{name} is {numbers!r}; it must be a finite number for each of {n_channels} channels"
            )
    if min(deviations or ()) <= 0:
        raise ConfigError(f"codec.deviations is {deviations!r}; each must be positive")
    return SeriesCodec(length, max_length, tuple(map(float, means or ())), tuple(map(float, deviations or ())))
