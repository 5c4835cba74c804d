"""The rows of a table as items of a model.

Shapes: `N` rows, `W` elements of a row.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.codecs.table import TableCodec, describe_table_codec
from models.codecs.table.columns import TRUE, BooleanColumn, Column, NumberColumn
from training.calibrate import require_promise
from training.errors import DataError
from training.fit.columns import find_columns
from training.fit.options import FitOptions
from training.fit.prepared import Prepared
from training.fit.table_file import Table
from training.fit.training import Split
from training.fit.trimming import ScoreOthers, find_suspects, halves_of, strangest

MIN_ROWS = 60
"""Least rows to learn from."""
TRAINING_SHARE, VALIDATION_SHARE = 0.7, 0.1
"""Shares of the rows that the weights are trained on, and that say when to stop; the rest is for the threshold."""
MAX_FOLDED_ROWS, N_FOLDS = 5000, 5
"""Most rows for which a model is trained for each of so many folds, so that none is lost for the threshold."""


def prepare_rows(table: Table, options: FitOptions, score: ScoreOthers) -> Prepared:
    """Return the rows of a table as items, without those that look like anomalies.

    Raises:
        DataError: the columns hold nothing to learn from, or values that are none of theirs, or there are too few rows.
    """
    found = find_columns(
        table, only=options.columns, ignore=options.ignore, label=options.label, schema=options.column_schema()
    )
    is_anomaly = labels_of(table, options.label)
    rows = elements_of(table, found.codec)
    anomalies, normal = rows[is_anomaly].float(), rows[~is_anomaly].float()
    split, n_suspects = split_without_anomalies(normal, options, score)
    return Prepared(
        codec=found.codec,
        rows=found.codec,
        description=describe_table_codec(found.codec),
        left_out=found.left_out,
        split=split,
        anomalies=list(anomalies),
        is_anomaly=np.ones(len(anomalies), dtype=bool),
        n_rows=len(table),
        n_anomalies=len(anomalies),
        n_suspects=n_suspects,
        example=example_row(table, found.codec.columns),
    )


def labels_of(table: Table, label: str | None) -> Tensor:
    """Return for each row whether it is a labelled anomaly, `[N]`."""
    cells = [None] * len(table) if label is None else table.columns[label]
    return torch.tensor([cell is not None and cell.lower() in {*TRUE, "anomaly", "1.0"} for cell in cells])


def elements_of(table: Table, codec: TableCodec) -> Tensor:
    """Return all rows as models see them, `[N, W]` in float64.

    Raises:
        DataError: a value is none of its column; the error names the line of the file.
    """
    columns = {column.name: table.columns[column.name] for column in codec.columns}
    elements, problems = codec.elements_of_columns(columns, len(table), gaps=False)
    for row, detail in problems:
        raise DataError(f"line {table.lines[row or 0]}: {detail}")
    return torch.from_numpy(elements)


def split_without_anomalies(
    rows: Tensor, options: FitOptions, score: ScoreOthers, n_folds: int = N_FOLDS
) -> tuple[Split, int]:
    """Split rows `[N, ...]` without those that look like anomalies. Return how many these are as well.

    If nobody knows how many anomalies there are, the strangest of the other rows are not learnt from either: as many as
    may be false alarms. They stay among those that the threshold comes from, so that the rate is kept.

    Raises:
        DataError: see `split_rows`.
    """
    is_suspect = suspicious_rows(rows, options, score)
    kept, n_suspects = rows[~is_suspect], int(is_suspect.sum())
    rate, seed = options.false_alarm_rate, options.seed
    if options.contamination != "auto":
        return split_rows(kept, rate, seed, n_folds=n_folds), n_suspects
    return split_rows(kept, rate, seed, strangest(kept, rate, seed), n_suspects, n_folds), n_suspects


def split_rows(
    rows: Tensor,
    false_alarm_rate: float,
    seed: int,
    is_strange: Tensor | None = None,
    n_left_out: int = 0,
    n_folds: int = N_FOLDS,
) -> Split:
    """Split rows `[N, ...]` at random; few rows also into folds, so that each of them gives a score for the threshold.

    Args:
        rows: the rows.
        false_alarm_rate: share of normal rows that the threshold may flag.
        seed: seed of the split.
        is_strange: the rows that only give scores for the threshold, `[N]`; none if omitted.
        n_left_out: see `Split`.
        n_folds: number of folds.

    Raises:
        DataError: there are too few rows to learn from, or to promise such a rate of false alarms.
    """
    n = len(rows)
    if n < MIN_ROWS:
        raise DataError(f"{n} are too few to learn from; {MIN_ROWS} are the least")
    n_calibrated = n_calibrated_of(n)
    require_promise(false_alarm_rate, n_calibrated, n)
    places = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    n_validated = round(VALIDATION_SHARE * n)
    if n > MAX_FOLDED_ROWS:
        held_out, others = places[:n_calibrated], _without(places[n_calibrated:], is_strange)
        n_share = round(n_left_out * n_calibrated / n)  # those that would have been among the held-out ones
        return Split(rows[others[n_validated:]], rows[others[:n_validated]], list(rows[held_out]), n_left_out=n_share)
    folds = []
    for held_out in torch.tensor_split(places, n_folds):
        others = _without(places[~torch.isin(places, held_out)], is_strange)
        folds.append(Split(rows[others[n_validated:]], rows[others[:n_validated]], list(rows[held_out])))
    places = _without(places, is_strange)
    return Split(rows[places[n_validated:]], rows[places[:n_validated]], [], n_left_out=n_left_out, folds=folds)


def _without(places: Tensor, flags: Tensor | None) -> Tensor:
    """Return the places `[n]` that are not flagged."""
    return places if flags is None else places[~flags[places]]


def suspicious_rows(rows: Tensor, options: FitOptions, score: ScoreOthers) -> Tensor:
    """Return which of the rows `[N, ...]` look like anomalies among the others, `[N]`; none of few rows."""
    is_suspect = torch.zeros(len(rows), dtype=torch.bool)
    if options.contamination == "none" or len(rows) < 2 * MIN_ROWS:
        return is_suspect
    pairs = halves_of(len(rows), options.seed)
    halves = []
    for mine, others in pairs:
        n_validated = round(VALIDATION_SHARE * len(mine))
        halves.append(Split(rows[mine[n_validated:]], rows[mine[:n_validated]], list(rows[others])))
    for (_, others), flags in zip(pairs, find_suspects(halves, score, options.contamination), strict=True):
        is_suspect[others] = flags
    return is_suspect


def n_calibrated_of(n_rows: int) -> int:
    """Return how many of so many rows give a score for the threshold."""
    return n_rows if n_rows <= MAX_FOLDED_ROWS else n_rows - round((TRAINING_SHARE + VALIDATION_SHARE) * n_rows)


def example_row(table: Table, columns: Sequence[Column]) -> dict[str, Any]:
    """Return a row in the types of JSON, without gaps if there is one."""
    names = [column.name for column in columns]
    rows = (table.row(place, names) for place in range(len(table)))
    row = next((row for row in rows if None not in row.values()), table.row(0, names))
    return {column.name: json_value(column, row[column.name]) for column in columns}


def json_value(column: Column, cell: str | None) -> Any:
    """Return a cell of a file in the type of JSON that its column has."""
    if cell is None or not isinstance(column, NumberColumn | BooleanColumn):
        return cell
    if isinstance(column, BooleanColumn):
        return cell.lower() in TRUE
    return int(cell) if column.is_integer and cell.lstrip("+-").isdigit() else float(cell)
