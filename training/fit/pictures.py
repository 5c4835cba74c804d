"""The pictures of a folder as items of a model.

Shapes: `N` pictures, `C` channels, `H` height, `W` width.
"""

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from models.codecs import ImageCodec
from models.codecs.arrays import Limits
from models.errors import InvalidItems
from training.errors import DataError
from training.fit.options import FitOptions
from training.fit.prepared import Prepared
from training.fit.rows import split_without_anomalies
from training.fit.trimming import ScoreOthers

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_SIDE, MIN_SIDE = 64, 8
"""Most and least pixels of the longer side of a picture as the model sees it."""
MAX_PIXELS = 2**26
N_FOLDS = 2
"""Folds of the pictures; each takes a model of its own, which takes long to train."""
MAX_PICTURES = 100_000


def find_pictures(folder: Path) -> list[Path]:
    """Return the PNG, JPEG and WebP files in a folder and its subfolders, in order.

    Raises:
        DataError: there are too many.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if len(paths) > MAX_PICTURES:
        raise DataError(f"{folder} has {len(paths)} pictures; {MAX_PICTURES} is the limit")
    return paths


def prepare_pictures(folder: Path, options: FitOptions, score: ScoreOthers) -> Prepared:
    """Return the pictures of a folder as items, all of one size, without those that look like anomalies.

    Those in a subfolder whose name is the option `label` are known anomalies.

    Raises:
        DataError: a file is no picture, there are too few, or an option is for tables or series.
    """
    for name in ("time", "key", "window", "stride", "columns", "ignore", "schema"):
        if getattr(options, name):
            raise DataError(f"--{name} is for tables and series, and {folder} is a folder of pictures")
    paths = find_pictures(folder)
    is_anomaly = np.array([options.label in path.relative_to(folder).parts[:-1] for path in paths], dtype=bool)
    if options.label is not None and not is_anomaly.any():
        raise DataError(f"{folder} has no subfolder {options.label!r} with pictures")
    codec = codec_for(paths)
    pictures = torch.stack([read_picture(path, codec) for path in paths])
    anomalies, normal = pictures[torch.from_numpy(is_anomaly)], pictures[torch.from_numpy(~is_anomaly)]
    split, n_suspects = split_without_anomalies(normal, options, score, N_FOLDS)
    first = paths[int(np.argmin(is_anomaly))]
    return Prepared(
        codec=codec,
        rows=None,
        description={"modality": "image", "shape": list(codec.shape)},
        left_out={},
        split=split,
        anomalies=list(anomalies),
        is_anomaly=np.ones(len(anomalies), dtype=bool),
        n_rows=len(paths),
        n_anomalies=len(anomalies),
        n_suspects=n_suspects,
        example=base64.b64encode(first.read_bytes()).decode(),
    )


def codec_for(paths: Sequence[Path]) -> ImageCodec:
    """Return the codec for pictures: grey if all of them are, and of their usual size, made smaller if it is large.

    Raises:
        DataError: a file is no picture.
    """
    sizes, is_grey = [], True
    for path in paths:
        try:
            with Image.open(path) as picture:
                sizes.append(picture.size)
                is_grey &= picture.mode in ("1", "L", "LA", "I;16")
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise DataError(f"{path} is no picture that can be read: {error}") from error
    width, height = np.median(np.array(sizes), axis=0)
    scale = min(1.0, MAX_SIDE / max(width, height))
    sides = (max(MIN_SIDE, round(height * scale)), max(MIN_SIDE, round(width * scale)))
    return ImageCodec(1 if is_grey else 3, *sides)


def read_picture(path: Path, codec: ImageCodec) -> Tensor:
    """Return a picture as a model sees it, `[C, H, W]`.

    Raises:
        DataError: the file is no picture.
    """
    try:
        (picture,) = codec.decode([path.read_bytes()], Limits(max_items=1, max_pixels=MAX_PIXELS))
    except (OSError, InvalidItems) as error:
        raise DataError(f"{path}: {error}") from error
    return picture
