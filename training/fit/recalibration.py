"""Calibrate a fitted checkpoint anew, on new normal data and without training."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from models.autoencoders.encodec.model import Encodec
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration
from models.checkpoint import CALIBRATION_FILE, CONFIG_FILE, load_model, read_checkpoint
from models.checkpoint.audio import AudioCheckpoint
from models.checkpoint.card import CARD_FILE
from models.codecs import ImageCodec, TableCodec, TableSeriesCodec, VectorCodec
from models.errors import ModelsError
from models.json_files import read_json
from training.calibrate import calibrate_sounds, promised_percentile
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


@dataclass(frozen=True, kw_only=True)
class Recalibration:
    """What changed: the threshold before and after, and how many scores it comes from."""

    score: str
    n_scores: int
    false_alarm_rate: float
    threshold: float
    threshold_before: float | None = None
    """The threshold of the checkpoint before; None if it had none."""
    flagged_before: float | None = None
    """Share of the new scores that the threshold before would have flagged."""


def recalibrate(folder: Path, data: Path, *, label: str | None, false_alarm_rate: float) -> Recalibration:
    """Replace the held-out scores of a checkpoint by those of new data, which should be normal.

    A checkpoint of sounds may have none yet.

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
    if isinstance(model, Encodec) and isinstance(checkpoint, AudioCheckpoint):
        return _calibrate_sounds(checkpoint, model, read_sounds(data, checkpoint.codec, label), false_alarm_rate)
    if not isinstance(model, Autoencoder):
        raise DataError(f"{folder} is a checkpoint of {checkpoint.spec.id}, which has no anomaly scores")
    items = _items(data, checkpoint.codec, label)
    before, score = model.calibration, model.scores[0]
    scores = {name: anomaly_scores(model, items, name).sort().values for name in before.scores}
    n_scores = len(scores[score])
    after = replace(before, scores=scores, percentile=promised_percentile(false_alarm_rate, n_scores))
    with _rewritten(folder, after) as (unfinished, sha256):
        content = read_json(unfinished, folder.name, CONFIG_FILE) | {"calibration_sha256": sha256}
        (unfinished / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n")
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
            "only checkpoints of tables, of series with columns, of pictures, of sounds and of arrays can be calibrated"
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
    found = Recalibration(
        score=score,
        n_scores=len(sounds),
        false_alarm_rate=false_alarm_rate,
        threshold=after.threshold(score, percentile),
    )
    if before is None:
        return found
    threshold = before.threshold(score, before.percentile)
    flagged = float((after.scores[score] > threshold).double().mean())
    return replace(found, threshold_before=threshold, flagged_before=flagged)


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
