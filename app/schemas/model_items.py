"""What is said of the items that a model takes, and of the limits of a request to it."""

from typing import Any, cast

from pydantic import BaseModel, Field

from app.settings import Settings
from models.checkpoint import Checkpoint
from models.codecs import AudioCodec, ImageCodec, PictureCodec, SeriesCodec, TableCodec, TableSeriesCodec
from models.pictures.placing import PHOTOGRAPHS


class ModelItem(BaseModel):
    """The items that a model takes."""

    modality: str = Field(
        description="Kind of the items: `audio`, `image`, `series`, `table`, `table_series` (rows of a table in the "
        "order of time), `vector`, `sentence` (a text as an item of an autoencoder) or `text`."
    )
    shape: list[int] = Field(
        description="Shape of an item; -1 stands for a side of a picture that may have any length. That of sounds is "
        "the shape of one second: samples and channels."
    )
    bandwidths: list[float] | None = Field(
        None, description="Bandwidths that a sound can be encoded at, in kbit/s, ascending; null for other items."
    )
    multiple: int | None = Field(
        None, description="Number that both sides of a picture are multiples of, for models that take several sizes."
    )
    paper: str | None = Field(
        None, description="Colour of the paper in the images that the model was trained on; null for photographs."
    )
    ink_box: int | None = Field(
        None, description="Number of pixels of the longer side of the ink, for models that take the parameter `centre`."
    )
    columns: list[dict[str, Any]] | None = Field(
        None,
        description="The columns of a table: `name`, `kind` (`number`, `boolean`, `category` or `date`), `has_gaps`, "
        "and what the kind has: `unit`, `values` or `cycles`. Null for other items.",
    )
    time: str | None = Field(None, description="Name of the column of times, for series of rows that have one.")
    key: str | None = Field(
        None, description="Name of the column that tells several series in one request apart, for series that have one."
    )


def describe_items(checkpoint: Checkpoint) -> ModelItem:
    """Return what is said of the items of a checkpoint's model."""
    codec = checkpoint.codec if checkpoint.modality != "text" else None  # a codec of texts reads the tokenizer
    style = codec.style if isinstance(codec, ImageCodec) else PHOTOGRAPHS
    series = codec if isinstance(codec, TableSeriesCodec) else None
    rows = series.rows if series else codec if isinstance(codec, TableCodec) else None
    return ModelItem(
        modality=checkpoint.modality,
        shape=list(checkpoint.item_shape),
        multiple=codec.multiple if isinstance(codec, PictureCodec) else None,
        bandwidths=list(codec.bandwidths) if isinstance(codec, AudioCodec) else None,
        paper=style.paper,
        ink_box=style.ink_box,
        columns=[column.describe() for column in rows.columns] if rows else None,
        time=None if series is None or series.time is None else series.time.name,
        key=series.key if series else None,
    )


def limits_of(checkpoint: Checkpoint, settings: Settings) -> dict[str, int]:
    """Return the limits of one request to a model."""
    limits = {"max_items": settings.max_items}
    match checkpoint.modality:
        case "text":
            (max_tokens,) = checkpoint.item_shape
            limits |= {"max_tokens": max_tokens, "max_characters": settings.max_characters}
        case "sentence":
            (max_tokens,) = checkpoint.item_shape
            limits |= {"max_tokens": max_tokens - 1, "max_characters": settings.max_characters}
        case "image":
            limits["max_pixels"] = settings.max_pixels
            if isinstance(checkpoint.codec, PictureCodec):
                limits["max_picture_pixels"] = checkpoint.codec.max_picture_pixels
        case "audio":
            limits["max_audio_seconds"] = settings.max_audio_seconds
        case "series":
            limits["max_length"] = cast("SeriesCodec", checkpoint.codec).max_length
    return limits
