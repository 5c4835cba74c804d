"""From a file to a checkpoint: read, find the columns, train, calibrate, measure, write, and tell about it."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table as PrintedTable
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import check_name, write_checkpoint, write_metrics
from models.codecs.arrays import Limits
from models.codecs.table import TableCodec, describe_table_codec
from models.codecs.table.columns import TRUE, BooleanColumn, Column, NumberColumn
from models.errors import CheckpointError, InvalidItems
from training.card import CARD_FILE
from training.errors import DataError
from training.fit.card import CHARTS_FILE, Facts, card, charts
from training.fit.columns import find_columns
from training.fit.comparison import OWN, Figures, compare
from training.fit.rows import Fitted, Split, fit_rows, split_rows
from training.fit.table_file import Table, read_table
from training.metrics import anomaly_scores

FAMILY_ID = "autoencoders/denoising"
LICENCE = "your own"
ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How a table is fitted; see the options of `manifold fit`."""

    name: str
    columns: Sequence[str] = ()
    ignore: Sequence[str] = ()
    label: str | None = None
    false_alarm_rate: float = 0.01
    minutes: float = 5.0
    seed: int = 0
    output: Path = Path("checkpoints")
    replace: bool = False


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What was fitted; see the JSON output of `manifold fit`."""

    folder: Path
    n_rows: Mapping[str, int]
    columns: list[dict[str, Any]]
    left_out: Mapping[str, str]
    n_steps: int
    seconds: float
    false_alarm_rate: float
    threshold: float
    found_share: float | None
    figures: Mapping[str, Figures] | None


def fit_table(path: Path, options: FitOptions, console: Console) -> FitResult:
    """Fit a model to a table, write its checkpoint, and print what was found and measured.

    Raises:
        DataError: the table cannot be read or learnt from, or the checkpoint's folder exists.
    """
    folder = _new_folder(options)
    table = read_table(path)
    found = find_columns(table, only=options.columns, ignore=options.ignore, label=options.label)
    codec = found.codec
    _print_columns(console, path, table, codec, found.left_out)
    is_anomaly = _labels(table, options.label)
    rows = _rows_of(table, codec)
    split = split_rows(rows[~is_anomaly].float(), options.false_alarm_rate, options.seed)
    anomalies = rows[is_anomaly].float() if is_anomaly.any() else None
    fitted = _train(split, options, console)
    figures = None if anomalies is None else compare(fitted.model, split.training, split.calibration, anomalies)
    threshold = fitted.model.calibration.threshold(fitted.model.scores[0], fitted.model.calibration.percentile)
    found_share = None if anomalies is None else _share_above(fitted.model, anomalies, threshold)
    facts = Facts(
        name=options.name,
        source=path.name,
        n_rows=len(table),
        n_trained=len(split.training),
        n_calibrated=len(split.calibration),
        left_out=found.left_out,
        false_alarm_rate=options.false_alarm_rate,
        n_steps=fitted.n_steps,
        example=_example(table, codec),
        figures=figures,
        n_anomalies=0 if anomalies is None else len(anomalies),
        found_share=found_share or 0.0,
    )
    _write(folder, fitted, codec, facts, charts(fitted.model, codec, split.calibration, anomalies))
    result = FitResult(
        folder=folder,
        n_rows={
            "training": len(split.training),
            "validation": len(split.validation),
            "calibration": len(split.calibration),
            "anomalies": facts.n_anomalies,
        },
        columns=[column.describe() for column in codec.columns],
        left_out=found.left_out,
        n_steps=fitted.n_steps,
        seconds=fitted.seconds,
        false_alarm_rate=options.false_alarm_rate,
        threshold=threshold,
        found_share=found_share,
        figures=figures,
    )
    _print_result(console, result)
    return result


def _new_folder(options: FitOptions) -> Path:
    folder = options.output / options.name
    if Path(options.name).name != options.name or options.name.startswith("."):
        raise DataError(f"--name is {options.name!r}; it must be the name of a folder that does not begin with a dot")
    try:
        check_name(options.name)
    except CheckpointError as error:
        raise DataError(str(error)) from error
    if folder.exists() and not options.replace:
        raise DataError(f"{folder} exists; give --replace to replace it, or another --name")
    return folder


def _labels(table: Table, label: str | None) -> Tensor:
    """Return for each row whether it is a labelled anomaly, `[N]`."""
    cells = [None] * len(table) if label is None else table.columns[label]
    return torch.tensor([cell is not None and cell.lower() in {*TRUE, "anomaly", "1.0"} for cell in cells])


def _rows_of(table: Table, codec: TableCodec) -> Tensor:
    """Return all rows as models see them, `[N, W]` in float64."""
    names = [column.name for column in codec.columns]
    limits = Limits(max_items=ROWS_AT_ONCE, max_pixels=1)
    parts: list[Tensor] = []
    for start in range(0, len(table), ROWS_AT_ONCE):
        places = range(start, min(start + ROWS_AT_ONCE, len(table)))
        try:
            parts += codec.decode([table.row(place, names) for place in places], limits)
        except InvalidItems as error:
            problem = error.problems[0]
            raise DataError(f"line {table.lines[start + (problem.index or 0)]}: {problem.detail}") from error
    return torch.stack(parts)


def _example(table: Table, codec: TableCodec) -> dict[str, Any]:
    """Return a row in the types of JSON, without gaps if there is one."""
    names = [column.name for column in codec.columns]
    rows = (table.row(place, names) for place in range(len(table)))
    row = next((row for row in rows if None not in row.values()), table.row(0, names))
    return {column.name: _json_value(column, row[column.name]) for column in codec.columns}


def _json_value(column: Column, cell: str | None) -> Any:
    if cell is None or not isinstance(column, NumberColumn | BooleanColumn):
        return cell
    if isinstance(column, BooleanColumn):
        return cell.lower() in TRUE
    return int(cell) if column.is_integer and cell.lstrip("+-").isdigit() else float(cell)


def _train(split: Split, options: FitOptions, console: Console) -> Fitted:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("error {task.fields[error]:.4f} after {task.fields[steps]} steps"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("training", total=1.0, error=float("nan"), steps=0)

        def report(done: float, steps: int, error: float) -> None:
            progress.update(task, completed=done, steps=steps, error=error)

        return fit_rows(
            split,
            false_alarm_rate=options.false_alarm_rate,
            max_seconds=60 * options.minutes,
            seed=options.seed,
            on_step=report,
        )


def _share_above(model: Autoencoder, rows: Tensor, threshold: float) -> float:
    return float((anomaly_scores(model, list(rows), model.scores[0]) > threshold).double().mean())


def _write(folder: Path, fitted: Fitted, codec: TableCodec, facts: Facts, picture: bytes) -> None:
    """Write the checkpoint beside its place, and then move it there, so that no half of one is ever served."""
    unfinished = folder.with_name(f".{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    write_checkpoint(
        unfinished,
        fitted.model,
        fitted.model.calibration,
        family_id=FAMILY_ID,
        config=fitted.config,
        codec=describe_table_codec(codec),
        licence=LICENCE,
        dtype=torch.float32,
    )
    metrics = {"validation_mse": fitted.validation_error}
    if facts.figures:
        metrics |= {"auroc": facts.figures[OWN].auroc, "average_precision": facts.figures[OWN].average_precision}
    write_metrics(unfinished, metrics)
    (unfinished / CHARTS_FILE).write_bytes(picture)
    (unfinished / CARD_FILE).write_text(card(facts, codec), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _print_columns(console: Console, path: Path, table: Table, codec: TableCodec, left_out: Mapping[str, str]) -> None:
    console.print(f"{path.name}: {len(table)} rows, of which the model sees {len(codec.columns)} columns:")
    printed = PrintedTable(box=None, padding=(0, 2, 0, 2), show_header=False)
    for column in codec.columns:
        printed.add_row(column.name, column.kind, "with gaps" if column.has_gaps else "")
    for name, reason in left_out.items():
        printed.add_row(f"[dim]{name}", "[dim]left out", f"[dim]{reason}")
    console.print(printed)


def _print_result(console: Console, result: FitResult) -> None:
    console.print(
        f"trained for {result.n_steps} steps in {result.seconds:.0f} s; the threshold is {result.threshold:.4g}, which "
        f"at most {result.false_alarm_rate:.3g} of normal rows exceed"
    )
    if result.found_share is not None:
        console.print(f"it finds {result.found_share:.1%} of the {result.n_rows['anomalies']} labelled anomalies")
    if result.figures:
        printed = PrintedTable("detector", "AUROC", "average precision", box=None, padding=(0, 2, 0, 2))
        for name, each in result.figures.items():
            printed.add_row(name, f"{each.auroc:.4f}", f"{each.average_precision:.4f}")
        console.print(printed)
        best = max(result.figures.items(), key=lambda pair: pair[1].auroc)[0]
        if best != OWN:
            console.print(f"[yellow]On these rows, {best} is better than this model.")
    console.print(f"wrote {result.folder}; `manifold serve` serves it")
