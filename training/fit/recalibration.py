"""Calibrate a fitted checkpoint anew, on new normal data and without training."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import CONFIG_FILE, load_model, read_checkpoint
from models.checkpoint.native import CALIBRATION_FILE
from models.codecs import ImageCodec, TableCodec, TableSeriesCodec, VectorCodec
from models.errors import ModelsError
from models.json_files import read_json
from training.calibrate import promised_percentile
from training.errors import DataError
from training.fit.arrays import ARRAY_SUFFIXES, items_of, read_items
from training.fit.files import read_file, read_folder
from training.fit.folder import replaced
from training.fit.pictures import find_pictures, read_picture
from training.fit.rows import elements_of, labels_of
from training.fit.series import series_of
from training.fit.table_file import Table
from training.metrics import anomaly_scores


@dataclass(frozen=True, kw_only=True)
class Recalibration:
    """What changed: the threshold before and after, and how many scores it comes from."""

    score: str
    n_scores: int
    false_alarm_rate: float
    threshold_before: float
    threshold: float
    flagged_before: float
    """Share of the new scores that the threshold before would have flagged."""


def recalibrate(folder: Path, data: Path, *, label: str | None, false_alarm_rate: float) -> Recalibration:
    """Replace the held-out scores of a checkpoint by those of new data, which should be normal.

    Args:
        folder: the folder of the checkpoint.
        data: a file or folder of the kind that the checkpoint was fitted to.
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
    if not isinstance(model, Autoencoder):
        raise DataError(f"{folder} is a checkpoint of {checkpoint.spec.id}, which has no anomaly scores")
    items = _items(data, checkpoint.codec, label)
    before, score = model.calibration, model.scores[0]
    scores = {name: anomaly_scores(model, items, name).sort().values for name in before.scores}
    n_scores = len(scores[score])
    after = replace(before, scores=scores, percentile=promised_percentile(false_alarm_rate, n_scores))
    _write(folder, after.to_bytes())
    threshold_before = before.threshold(score, before.percentile)
    return Recalibration(
        score=score,
        n_scores=n_scores,
        false_alarm_rate=false_alarm_rate,
        threshold_before=threshold_before,
        threshold=after.threshold(score, after.percentile),
        flagged_before=float((scores[score] > threshold_before).double().mean()),
    )


def _items(data: Path, codec: object, label: str | None) -> Sequence[Tensor]:
    """Return the normal items of a file or folder, as a codec makes them."""
    if isinstance(codec, ImageCodec | VectorCodec) and data.suffix.lower() in ARRAY_SUFFIXES:
        if label is not None:
            raise DataError(f"--label is for columns and for folders of pictures, and {data} is an array")
        return items_of(read_items(data, codec.shape), codec, data)
    if isinstance(codec, ImageCodec):
        paths = [path for path in find_pictures(data) if label not in path.relative_to(data).parts[:-1]]
        if not paths:
            raise DataError(f"{data} has no pictures")
        return [read_picture(path, codec) for path in paths]
    if not isinstance(codec, TableCodec | TableSeriesCodec):
        raise DataError(
            "only checkpoints of tables, of series with columns, of pictures and of arrays can be calibrated"
        )
    table = read_folder(data) if data.is_dir() else read_file(data)
    _check_columns(table, codec, label)
    is_anomaly = labels_of(table, label)
    if isinstance(codec, TableCodec):
        return list(elements_of(table, codec)[~is_anomaly])
    return series_of(table, codec, is_anomaly.numpy())


def _check_columns(table: Table, codec: TableCodec | TableSeriesCodec, label: str | None) -> None:
    rows = codec if isinstance(codec, TableCodec) else codec.rows
    own = [] if isinstance(codec, TableCodec) else [codec.time.name if codec.time else None, codec.key]
    needed = [*(column.name for column in rows.columns), *own, label]
    missing = [name for name in needed if name is not None and name not in table.columns]
    if missing:
        raise DataError(f"there is no column {missing[0]!r}; the columns are {', '.join(map(repr, table.columns))}")


def _write(folder: Path, calibration: bytes) -> None:
    """Write a copy of the folder with the new calibration, and put it in the place of the old one."""
    with replaced(folder) as unfinished:
        shutil.copytree(folder, unfinished, dirs_exist_ok=True)
        (unfinished / CALIBRATION_FILE).write_bytes(calibration)
        content = read_json(unfinished, folder.name, CONFIG_FILE)
        content |= {"calibration_sha256": hashlib.sha256(calibration).hexdigest()}
        (unfinished / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n")
