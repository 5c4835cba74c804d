"""Calibrate a checkpoint on normal data and without training: a fitted one anew, or a published one of pictures."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from models.autoencoders.encodec.model import Encodec
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration
from models.autoencoding.pictures import CALIBRATED_SCORES, PictureAutoencoder
from models.checkpoint import CALIBRATION_FILE, CONFIG_FILE, load_model, read_checkpoint
from models.checkpoint.audio import AudioCheckpoint
from models.checkpoint.card import CARD_FILE
from models.codecs import ImageCodec, PictureCodec, TableCodec, TableSeriesCodec, VectorCodec
from models.errors import ModelsError
from models.json_files import read_json
from training.calibrate import calibrate_sounds, promised_percentile, require_promise
from training.errors import DataError
from training.fit.arrays import ARRAY_SUFFIXES, items_of, read_items
from training.fit.files import read_file, read_folder
from training.fit.folder import replaced
from training.fit.pictures import find_pictures, read_picture
from training.fit.rows import elements_of, labels_of
from training.fit.series import series_of
from training.fit.sounds import read_sounds
from training.fit.table_file import Table
from training.metrics import anomaly_scores

WHOLE_PICTURE_BYTES = 2**31
"""Memory in bytes that networks may take for a whole picture; larger ones are computed in parts."""


@dataclass(frozen=True, kw_only=True)
class Recalibration:
    """What changed: the threshold before and after, and how many scores it comes from.

    Attributes:
        threshold_before: the threshold before; None if the checkpoint had none.
        flagged_before: the share of the new scores that it would have flagged; None likewise.
    """

    score: str
    n_scores: int
    false_alarm_rate: float
    threshold_before: float | None
    threshold: float
    flagged_before: float | None


def recalibrate(folder: Path, data: Path, *, label: str | None, false_alarm_rate: float) -> Recalibration:
    """Replace the held-out scores of a checkpoint by those of new data, which should be normal.

    A checkpoint of sounds may have none yet.

    Args:
        folder: the folder of the checkpoint.
        data: a file or folder of the kind that the checkpoint was fitted to; a folder of pictures for a published one.
        label: a column, or a subfolder, that tells anomalies, which are left out.
        false_alarm_rate: the share of normal rows, steps or pictures that the threshold may flag.

    Raises:
        DataError: the folder is no checkpoint of an autoencoder, the data do not fit to it, or there are too few.
    """
    try:
        checkpoint = read_checkpoint(folder)
        model = load_model(checkpoint)
    except ModelsError as error:
        raise DataError(str(error)) from error
    if isinstance(model, Encodec) and isinstance(checkpoint, AudioCheckpoint):
        return _calibrate_sounds(checkpoint, model, read_sounds(data, checkpoint.codec, label), false_alarm_rate)
    if not isinstance(model, Autoencoder):
        raise DataError(f"{folder} is a checkpoint of {checkpoint.spec.id}, which has no anomaly scores")
    if isinstance(model, PictureAutoencoder):
        return calibrate_pictures(
            folder, model, cast("PictureCodec", checkpoint.codec), data, label=label, false_alarm_rate=false_alarm_rate
        )
    items = _items(data, checkpoint.codec, label)
    before, score = model.calibration, model.scores[0]
    scores = {name: anomaly_scores(model, items, name).sort().values for name in before.scores}
    after = replace(before, scores=scores, percentile=promised_percentile(false_alarm_rate, len(scores[score])))
    with _rewritten(folder, after) as (unfinished, sha256):
        content = read_json(unfinished, folder.name, CONFIG_FILE) | {"calibration_sha256": sha256}
        (unfinished / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n")
    return _compared(score, before, after, false_alarm_rate)


def calibrate_pictures(
    folder: Path,
    model: PictureAutoencoder,
    codec: PictureCodec,
    data: Path,
    *,
    label: str | None,
    false_alarm_rate: float,
) -> Recalibration:
    """Measure a published autoencoder on normal pictures, which may differ in size, and write its calibration.

    The pictures are read one after the other. The means and deviations of latents are those of their channels over all
    positions of all pictures.

    Raises:
        DataError: a file is no picture, or there are too few.
    """
    paths = _normal_pictures(data, label)
    model.limit_memory(WHOLE_PICTURE_BYTES)
    require_promise(false_alarm_rate, len(paths), len(paths))
    errors: list[list[float]] = []
    moments = []
    with torch.inference_mode():
        for path in track(paths, "scoring", console=Console(stderr=True)):
            item = read_picture(path, codec)
            latents = model.latents_of([item]).double()
            (reconstruction,) = model.items_of(latents.float(), ())
            difference = (reconstruction - item).double()
            errors.append([difference.square().mean().item(), difference.abs().mean().item()])
            moments.append(torch.stack([power.mean((0, 2, 3)) for power in (latents, latents.square())]))
    mean, mean_square = torch.stack(moments).mean(0)
    scores = torch.tensor(errors, dtype=torch.float64).sort(0).values.float()
    after = Calibration(
        scores={name: scores[:, place].clone() for place, name in enumerate(CALIBRATED_SCORES)},
        percentile=promised_percentile(false_alarm_rate, len(paths)),
        latent_mean=mean.float(),
        latent_deviation=(mean_square - mean.square()).clamp(min=0).sqrt().float(),
        mixture=None,
    )
    before = model.calibration if model.scores else None
    part = folder / f".{CALIBRATION_FILE}.part"
    part.write_bytes(after.to_bytes())
    part.replace(folder / CALIBRATION_FILE)
    return _compared(CALIBRATED_SCORES[0], before, after, false_alarm_rate)


def _compared(score: str, before: Calibration | None, after: Calibration, false_alarm_rate: float) -> Recalibration:
    """Return what changed, by one of the scores."""
    scores = after.scores[score]
    threshold_before = None if before is None else before.threshold(score, before.percentile)
    flagged = None if threshold_before is None else float((scores > threshold_before).double().mean())
    return Recalibration(
        score=score,
        n_scores=len(scores),
        false_alarm_rate=false_alarm_rate,
        threshold_before=threshold_before,
        threshold=after.threshold(score, after.percentile),
        flagged_before=flagged,
    )


def _items(data: Path, codec: object, label: str | None) -> Sequence[Tensor]:
    """Return the normal items of a file or folder, as a codec makes them."""
    if isinstance(codec, ImageCodec | VectorCodec) and data.suffix.lower() in ARRAY_SUFFIXES:
        if label is not None:
            raise DataError(f"--label is for columns and for folders of pictures, and {data} is an array")
        return items_of(read_items(data, codec.shape), codec, data)
    if isinstance(codec, ImageCodec):
        return [read_picture(path, codec) for path in _normal_pictures(data, label)]
    if not isinstance(codec, TableCodec | TableSeriesCodec):
        raise DataError(
            "only checkpoints of tables, of series with columns, of pictures, of sounds and of arrays can be calibrated"
        )
    table = read_folder(data) if data.is_dir() else read_file(data)
    _check_columns(table, codec, label)
    is_anomaly = labels_of(table, label)
    if isinstance(codec, TableCodec):
        return list(elements_of(table, codec)[~is_anomaly])
    return series_of(table, codec, is_anomaly.numpy())


def _normal_pictures(data: Path, label: str | None) -> list[Path]:
    """Return the files of the pictures of a folder that are no known anomalies.

    Raises:
        DataError: there are none.
    """
    paths = [path for path in find_pictures(data) if label not in path.relative_to(data).parts[:-1]]
    if not paths:
        raise DataError(f"{data} has no pictures")
    return paths


def _check_columns(table: Table, codec: TableCodec | TableSeriesCodec, label: str | None) -> None:
    rows = codec if isinstance(codec, TableCodec) else codec.rows
    own = [] if isinstance(codec, TableCodec) else [codec.time.name if codec.time else None, codec.key]
    needed = [*(column.name for column in rows.columns), *own, label]
    missing = [name for name in needed if name is not None and name not in table.columns]
    if missing:
        raise DataError(f"there is no column {missing[0]!r}; the columns are {', '.join(map(repr, table.columns))}")


def _calibrate_sounds(
    checkpoint: AudioCheckpoint, model: Encodec, sounds: Sequence[Tensor], false_alarm_rate: float
) -> Recalibration:
    """Write the scores of normal sounds beside a checkpoint, with their digest in its card.

    Raises:
        DataError: there are too few sounds.
    """
    percentile, before = promised_percentile(false_alarm_rate, len(sounds)), model.calibration
    after, score = calibrate_sounds(model, sounds, percentile=percentile), model.scores[0]
    with _rewritten(checkpoint.folder, after) as (unfinished, sha256):
        card = read_json(unfinished, checkpoint.name, CARD_FILE) if (unfinished / CARD_FILE).exists() else {}
        card["sha256"] = card.get("sha256", {}) | {CALIBRATION_FILE: sha256}
        (unfinished / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n")
    return _compared(score, before, after, false_alarm_rate)


@contextmanager
def _rewritten(folder: Path, calibration: Calibration) -> Iterator[tuple[Path, str]]:
    """Yield a copy of the folder with the new calibration, and the digest of that, which the caller writes down.

    At the end, the copy takes the place of the folder.
    """
    data = calibration.to_bytes()
    with replaced(folder) as unfinished:
        shutil.copytree(folder, unfinished, dirs_exist_ok=True)
        (unfinished / CALIBRATION_FILE).write_bytes(data)
        yield unfinished, hashlib.sha256(data).hexdigest()
