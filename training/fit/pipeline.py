"""From a file to a checkpoint: read, find the columns, train, calibrate, measure, write, and tell about it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.drift import DriftReference
from models.checkpoint import write_checkpoint, write_metrics
from models.codecs.table import TableCodec
from models.codecs.table.histograms import histograms_of
from training.card import CARD_FILE
from training.errors import DataError
from training.fit.card import Facts, card
from training.fit.charts import CHARTS_FILE, charts
from training.fit.comparison import OWN, compare
from training.fit.files import FILE, read_file, read_folder
from training.fit.folder import new_folder, replaced
from training.fit.options import LICENCE, FitOptions
from training.fit.order import find_time_column
from training.fit.pictures import find_pictures, prepare_pictures
from training.fit.prepared import Prepared
from training.fit.report import Report
from training.fit.result import FitResult
from training.fit.rows import prepare_rows
from training.fit.series import prepare_series
from training.fit.table_file import Table
from training.fit.training import Fitted, Split, fit_model, score_held_out
from training.metrics import anomaly_scores

TRAINING_TIME_SHARE, TRIMMING_SHARE = 0.55, 0.1
"""Shares of the time limit for the training, and for each of the two models that look for anomalies before. The rest is
for what has no limit of its own: reading, calibrating and drawing."""


def fit_file(path: Path, options: FitOptions, report: Report) -> FitResult:
    """Fit a model to the rows of a file, write its checkpoint, and tell what was found and measured.

    Raises:
        DataError: the file cannot be read or learnt from, or the checkpoint's folder exists.
    """
    folder = new_folder(options.output, options.name, replace=options.replace)
    data = _prepare(path, options, report)
    report.found(path.name, data)
    if data.n_suspects:
        left_out = f"left out {data.n_suspects} {data.noun} that look like anomalies"
        report.note(f"{left_out}; --contamination none trains on all")
    fitted = _fit(data.split, options, report)
    if fitted.n_suspects:
        report.note(f"{fitted.n_suspects} held-out {data.noun} look like anomalies, and do not raise the threshold")
    model = fitted.model
    if data.rows is not None:
        model.calibration = replace(model.calibration, drift=_drift_reference(data.split, data.rows))
    figures = found_share = None
    if data.n_anomalies:
        judged = fitted.judged
        items = [*judged.calibration, *data.anomalies]
        is_anomaly = np.concatenate([np.zeros(judged.n_calibrated, dtype=bool), data.is_anomaly])
        figures = compare(fitted.judge, judged.training, items, is_anomaly)
        found_share = _found_share(model, data)
    facts = Facts(
        name=options.name,
        source=path.name,
        n_trained=len(data.split.training),
        n_calibrated=data.split.n_calibrated,
        false_alarm_rate=options.false_alarm_rate,
        n_steps=fitted.n_steps,
        figures=figures,
        found_share=found_share or 0.0,
    )
    _write(folder, fitted, data, facts)
    result = FitResult(
        folder=folder,
        kind=data.kind,
        window=None if data.split.windows is None else data.split.windows.length,
        n_rows={
            "training": len(data.split.training),
            "validation": len(data.split.validation),
            "calibration": data.split.n_calibrated,
            "anomalies": data.n_anomalies,
            "suspects": data.n_suspects,
        },
        columns=[column.describe() for column in data.columns],
        left_out=data.left_out,
        n_steps=fitted.n_steps,
        seconds=fitted.seconds,
        false_alarm_rate=options.false_alarm_rate,
        threshold=_threshold(model),
        found_share=found_share,
        figures=figures,
    )
    report.finished(result, data.noun)
    return result


def inspect_file(path: Path, options: FitOptions, report: Report) -> Prepared:
    """Find out what a file holds, and tell it. Nothing is trained, so that nothing is left out either.

    Raises:
        DataError: the file cannot be read or learnt from.
    """
    data = _prepare(path, replace(options, contamination="none"), report)
    report.found(path.name, data)
    return data


def _prepare(path: Path, options: FitOptions, report: Report) -> Prepared:
    def score(split: Split) -> Tensor:
        with report.progress("looking for anomalies") as on_step:
            seconds = 60 * options.minutes * TRIMMING_SHARE
            return score_held_out(split, max_seconds=seconds, seed=options.seed, family=options.family, on_step=on_step)

    has_pictures = path.is_dir() and bool(find_pictures(path))
    if options.kind == "pictures" and not has_pictures:
        raise DataError(f"{path} is no folder with pictures, which --as pictures asks for")
    if has_pictures:
        if options.kind not in (None, "pictures"):
            raise DataError(f"{path} has pictures, and --as {options.kind} asks for files of rows")
        return prepare_pictures(path, options, score)
    if path.is_dir():
        table = read_folder(path)
        options = options if options.kind == "table" else replace(options, key=options.key or FILE)
    else:
        table = read_file(path)
    options = _choose_kind(table, options, report)
    prepare = prepare_rows if options.kind == "table" else prepare_series
    return prepare(table, options, score)


def _choose_kind(table: Table, options: FitOptions, report: Report) -> FitOptions:
    """Return the options with the kind of the data, which follows from the other options or from the times.

    Raises:
        DataError: a column of times or keys is named for rows that have no order.
    """
    if options.kind == "table":
        given = next((name for name in ("time", "key", "window", "stride") if getattr(options, name) is not None), None)
        if given is not None:
            raise DataError(f"--{given} is for series, and --as table asks for rows without an order")
        return options
    if options.kind == "series" or options.time or options.key or options.window or options.stride:
        time = options.time or find_time_column(table, options.key)
        time = None if time in options.ignore else time
        return replace(options, kind="series", time=time)
    time = find_time_column(table, None)
    if time is None or time in options.ignore:
        return replace(options, kind="table")
    report.note(f"{time!r} rises in even steps: this is a series; --as table takes its rows without their order")
    return replace(options, kind="series", time=time)


def _drift_reference(split: Split, codec: TableCodec) -> DriftReference:
    rows = split.training.flatten(0, -2).double().numpy()  # those of windows as often as they are in one
    found = histograms_of(codec, rows)
    return DriftReference(edges=torch.from_numpy(found.edges), shares=torch.from_numpy(found.shares))


def _threshold(model: Autoencoder) -> float:
    return model.calibration.threshold(model.scores[0], model.calibration.percentile)


def _found_share(model: Autoencoder, data: Prepared) -> float:
    """Return the share of the labelled rows, or of the labelled steps of series, that are above the threshold."""
    scores = anomaly_scores(model, data.anomalies, model.scores[0])
    return float((scores[torch.from_numpy(data.is_anomaly)] > _threshold(model)).double().mean())


def _fit(split: Split, options: FitOptions, report: Report) -> Fitted:
    with report.progress("training") as on_step:
        return fit_model(
            split,
            false_alarm_rate=options.false_alarm_rate,
            max_seconds=60 * options.minutes * TRAINING_TIME_SHARE,
            seed=options.seed,
            family=options.family,
            contamination=options.contamination,
            on_step=on_step,
        )


def _write(folder: Path, fitted: Fitted, data: Prepared, facts: Facts) -> None:
    metrics = {"validation_mse": fitted.validation_error}
    if facts.figures:
        metrics |= {"auroc": facts.figures[OWN].auroc, "average_precision": facts.figures[OWN].average_precision}
    with replaced(folder) as unfinished:
        write_checkpoint(
            unfinished,
            fitted.model,
            fitted.model.calibration,
            family_id=fitted.family.id,
            config=fitted.config,
            codec=data.description,
            licence=LICENCE,
            dtype=torch.float32,
        )
        write_metrics(unfinished, metrics)
        (unfinished / CHARTS_FILE).write_bytes(charts(fitted, data))
        (unfinished / CARD_FILE).write_text(card(facts, data), encoding="utf-8")
