"""The rows of a table in the order of time as items of a model: windows of even steps.

Shapes: `n` rows, `T` even steps of a segment, `L` steps of a window, `E` elements of a row.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.autoencoding.windows import Windows
from models.codecs.table import TableCodec, TableSeriesCodec, describe_table_series_codec
from models.codecs.table.time_axis import TimeAxis
from training.calibrate import require_promise
from training.errors import DataError
from training.fit.columns import find_columns
from training.fit.options import FitOptions
from training.fit.order import Segment, groups_of, segments_of, time_axis_of
from training.fit.prepared import Prepared
from training.fit.rows import elements_of, json_value, labels_of
from training.fit.table_file import Table
from training.fit.training import Split
from training.fit.trimming import ScoreOthers, find_suspects

DEFAULT_WINDOW, MIN_WINDOW, MAX_WINDOW = 32, 8, 128
"""Steps of a window where the data show no period, and the least and the most where they do."""
MIN_CORRELATION, NEARLY = 0.3, 0.9
"""Least correlation of a column with itself, one period later, that counts as a period; and the share of the highest
correlation that an earlier peak must have to be the period."""
N_STRIDES = 8
"""Windows that a step of a long series is in."""
PARTS = "ttcttvtttc"
"""What the parts of a long segment are for, in order: training, validation and calibration."""
PART_WINDOWS = 16
"""Windows in a part that is in one half of the data, when halves score each other."""
MAX_MARKED_SHARE = 0.25
"""Most of the steps that are left out, with those around what looks like anomalies; what is more is no exception."""
MAX_TRAINING_WINDOWS = 20_000
MIN_TRAINING_WINDOWS = 60


def prepare_series(table: Table, options: FitOptions, score: ScoreOthers) -> Prepared:
    """Return the rows of a table, in the order of their times, as windows without steps that look like anomalies.

    Raises:
        DataError: a column that is named does not exist, the columns hold nothing to learn from or values that are none
            of theirs, a time is none, or there are too few steps.
    """
    order = [name for name in (options.time, options.key) if name is not None]
    found = find_columns(
        table,
        only=options.columns,
        ignore=options.ignore,
        label=options.label,
        order=order,
        schema=options.column_schema(),
    )
    elements, is_anomaly = elements_of(table, found.codec).numpy(), labels_of(table, options.label).numpy()
    groups = list(groups_of(table, options.time, options.key))
    axis = None if options.time is None else time_axis_of(options.time, groups)
    length = options.window or _window_for([elements[group.rows] for group in groups])
    if axis is not None:
        axis = TimeAxis(axis.name, axis.step_s, axis.is_irregular, max_gap=max(1, length // 4))
    found_segments = (segment for group in groups for segment in segments_of(group, elements, is_anomaly, axis))
    segments = [segment for segment in found_segments if len(segment.steps) >= length]
    windows = Windows(length, _stride_for(length, options.stride))
    segments, n_suspects = _mark_suspects(segments, windows, options, score)
    codec = TableSeriesCodec(rows=found.codec, length=length, stride=windows.stride, time=axis, key=options.key)
    parts = [part for segment in segments for part in _around_anomalies(segment, length)]
    return Prepared(
        codec=codec,
        rows=found.codec,
        description=describe_table_series_codec(codec),
        left_out=found.left_out,
        split=_split(segments, windows, options, n_suspects if options.contamination == "auto" else 0),
        anomalies=[part.steps for part in parts],
        is_anomaly=np.concatenate([part.is_anomaly for part in parts]) if parts else np.zeros(0, dtype=bool),
        n_rows=len(table),
        n_anomalies=int(is_anomaly.sum()),
        n_suspects=n_suspects,
        example=_example(table, found.codec, options, groups[0].rows[:length]),
    )


def series_of(table: Table, codec: TableSeriesCodec, is_anomaly: NDArray[np.bool_]) -> list[Tensor]:
    """Return the normal stretches of a table that have at least as many steps as a window, each `[T, E]`.

    Raises:
        DataError: a time is none, a value is none of its column, or no stretch is long enough.
    """
    elements = elements_of(table, codec.rows).numpy()
    time = None if codec.time is None else codec.time.name
    found = [
        segment.steps[first:end]
        for group in groups_of(table, time, codec.key)
        for segment in segments_of(group, elements, is_anomaly, codec.time)
        for first, end in segment.normal_parts(codec.length)
    ]
    if not found:
        raise DataError(f"there are no {codec.length} normal rows that follow each other, as a window has")
    return found


def _window_for(groups: Sequence[NDArray[np.float64]]) -> int:
    """Return the period of the longest of groups `[n, E]`, or `DEFAULT_WINDOW` if it shows none."""
    longest = max(groups, key=len)
    period = find_period(longest)
    length = DEFAULT_WINDOW if period is None else min(max(period, MIN_WINDOW), MAX_WINDOW)
    return max(MIN_WINDOW, min(length, len(longest) // 20))


def _stride_for(length: int, asked: int | None) -> int:
    """Return the steps from one window to the next.

    Raises:
        DataError: with the stride that was asked for, there would be steps between the windows.
    """
    if asked is not None and asked > length:
        raise DataError(f"--stride is {asked}; it must be at most the {length} rows of a window")
    return asked or max(1, length // N_STRIDES)


def find_period(elements: NDArray[np.float64]) -> int | None:
    """Return the steps after which rows `[n, E]` are most like themselves again; None if nothing repeats.

    It is that of the element with the highest autocorrelation behind its first negative value: the first peak that is
    nearly as high as the highest, since a series is also like itself after several periods.
    """
    n = len(elements)
    centred = elements - elements.mean(0)
    spectrum = np.abs(np.fft.rfft(centred, 2 * n, axis=0)) ** 2
    best, period = MIN_CORRELATION, None
    for correlation in np.fft.irfft(spectrum, axis=0)[: n // 3].T:
        negative = np.flatnonzero(correlation < 0)
        if not len(negative):
            continue
        behind = correlation[negative[0] :] / correlation[0]
        if behind.max() > best:
            best = float(behind.max())
            is_peak = (behind[1:-1] >= behind[:-2]) & (behind[1:-1] >= behind[2:]) & (behind[1:-1] >= NEARLY * best)
            peaks = np.flatnonzero(is_peak)
            period = int(negative[0] + 1 + peaks[0]) if len(peaks) else None
    return period


def _split(segments: Sequence[Segment], windows: Windows, options: FitOptions, n_suspects: int) -> Split:
    """Split the normal steps by what they are for.

    A long segment gives parts to each use, in the order of `PARTS`, so that each is spread over the whole time; short
    ones are given to the uses in turn.
    """
    normal = [segment.steps[first:end] for segment in segments for first, end in segment.normal_parts(windows.length)]
    pieces: dict[str, list[Tensor]] = {"t": [], "v": [], "c": []}
    turn = 0
    for steps in normal:
        n_parts = min(len(PARTS), len(steps) // (2 * windows.length))
        for part in torch.tensor_split(steps, max(n_parts, 1)):
            use = PARTS[turn % len(PARTS)]
            pieces[use].append(part)
            turn += 1
    generator = torch.Generator().manual_seed(options.seed)
    training = _windows_of(pieces["t"], windows.length, generator)
    validation = _windows_of(pieces["v"], windows.length, generator)
    n_calibrated, n_steps = sum(map(len, pieces["c"])), sum(map(len, normal))
    if len(training) < MIN_TRAINING_WINDOWS or not len(validation) or not n_calibrated:
        raise DataError(
            f"{n_steps} normal steps are too few for windows of {windows.length}; "
            f"{len(PARTS) * 2 * windows.length} are enough, or give a smaller --window"
        )
    require_promise(options.false_alarm_rate, n_calibrated, n_steps)
    n_left_out = round(n_suspects * n_calibrated / n_steps)  # of those that would have been held out
    return Split(training, validation, pieces["c"], windows, n_left_out)


def _mark_suspects(
    segments: Sequence[Segment], windows: Windows, options: FitOptions, score: ScoreOthers
) -> tuple[list[Segment], int]:
    """Return the segments with the steps marked that look like anomalies among the others, and how many do.

    Parts of many windows go to one half and the other in turn; models of each half score the other. The steps within a
    window's length of them are marked as well, since an anomaly may begin before it is seen. If these are too many,
    the halves differ, rather than that there are anomalies, and none is marked.
    """
    if options.contamination == "none":
        return list(segments), 0
    parts: list[tuple[int, int, int]] = []  # the segment, the first step and the one behind the last
    for number, segment in enumerate(segments):
        for first, end in segment.normal_parts(windows.length):
            cuts = np.linspace(first, end, max(2, (end - first) // (PART_WINDOWS * windows.length)) + 1).astype(int)
            parts += [(number, start, stop) for start, stop in itertools.pairwise(cuts.tolist())]
    halves = [parts[::2], parts[1::2]]
    generator = torch.Generator().manual_seed(options.seed)
    splits = []
    for mine, others in (halves, halves[::-1]):
        own, other = ([segments[number].steps[first:end] for number, first, end in half] for half in (mine, others))
        found = _windows_of(own, windows.length, generator)
        n_validated = len(found) // 10
        if n_validated == 0:
            return list(segments), 0
        splits.append(Split(found[n_validated:], found[:n_validated], other, windows))
    flags = [segment.is_suspect.copy() for segment in segments]
    for others, found in zip(halves[::-1], find_suspects(splits, score, options.contamination), strict=True):
        sizes = [end - first for _, first, end in others]
        for (number, first, end), part in zip(others, torch.split(found, sizes), strict=True):
            flags[number][first:end] = part.numpy()
    n_suspects = sum(int(found.sum()) for found in flags)
    around = np.ones(2 * windows.length + 1, dtype=np.int64)
    marked = [np.convolve(found, around)[windows.length : -windows.length] > 0 for found in flags]
    if options.contamination == "auto" and np.concatenate(marked).mean() > MAX_MARKED_SHARE:
        return list(segments), 0
    return [replace(segment, is_suspect=near) for segment, near in zip(segments, marked, strict=True)], n_suspects


def _around_anomalies(segment: Segment, length: int) -> list[Segment]:
    """Return the labelled anomalies of a segment, each with a window's length before and behind it."""
    near = np.flatnonzero(segment.is_anomaly)
    if not len(near):
        return []
    cuts = np.flatnonzero(np.diff(near) > 2 * length) + 1
    parts = []
    for run in np.split(near, cuts):
        first = max(0, min(int(run[0]) - length, len(segment.steps) - length))
        end = min(len(segment.steps), max(int(run[-1]) + length + 1, first + length))
        part = slice(first, end)
        parts.append(Segment(segment.steps[part], segment.is_anomaly[part], segment.is_suspect[part]))
    return parts


def _windows_of(parts: Sequence[Tensor], length: int, generator: torch.Generator) -> Tensor:
    """Return windows `[N, L, E]` of the parts in random order: all of them, or evenly spread ones if these are many."""
    long_enough = [part for part in parts if len(part) >= length]
    n_windows = sum(len(part) - length + 1 for part in long_enough)
    if not n_windows:
        return torch.empty(0)
    stride = max(1, n_windows // MAX_TRAINING_WINDOWS)
    found = torch.cat([part.unfold(0, length, stride).transpose(1, 2) for part in long_enough])
    return found[torch.randperm(len(found), generator=generator)]


def _example(table: Table, codec: TableCodec, options: FitOptions, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Return rows as an item, in the types of JSON."""
    times = {} if options.time is None else {options.time: [table.columns[options.time][row] for row in rows]}
    columns = {
        column.name: [json_value(column, table.columns[column.name][row]) for row in rows] for column in codec.columns
    }
    return {**times, **columns}
