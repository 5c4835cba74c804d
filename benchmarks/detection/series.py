"""Fit series as `manifold fit` does, and measure how well their labelled windows are found.

Protocol: the first 15% of each series is fitted, the rest is scored. Nothing is chosen by series.
"""

import csv
import gzip
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.detection.peer import Scores, run_peer
from benchmarks.detection.ranges import share_of_ranges_found, volume_under_precision_recall
from benchmarks.lib.report import Report, json_option, print_report, progress, table
from models.autoencoding.windows import Windows
from training.fit.comparison import OWN, detectors
from training.fit.options import FitOptions
from training.fit.series import prepare_series
from training.fit.table_file import Table
from training.fit.training import fit_model, score_held_out
from training.metrics import anomaly_scores

FITTED_SHARE = 0.15
FALSE_ALARM_RATE = 0.001
"""Share of the unlabelled steps that may be above the threshold, where windows are found or not."""
SUPPORTED_RATE = 0.05
"""Rate of false alarms of the fit, which even short series support. No threshold of the fit is used here."""
MAX_BUFFER = 100
MAX_SECONDS = 60.0
FOREST, PROFILE = "isolation forest", "matrix profile"


@dataclass(frozen=True)
class SeriesResult:
    """The results of one series by detector.

    Attributes:
        name: the name of the file.
        n_fitted: the number of steps that were fitted.
        n_scored: the number of steps that were scored.
        window: the steps that are looked at together.
        vus_pr: the volume under the surface of precision and recall.
        windows_found: the share of the labelled windows that are found at one false alarm in 1,000 steps.
        seconds: the time of the fit.
    """

    name: str
    n_fitted: int
    n_scored: int
    window: int
    vus_pr: Mapping[str, float]
    windows_found: Mapping[str, float]
    seconds: float


def measure(path: Path, labelled: Sequence[tuple[str, str]]) -> SeriesResult:
    """Return the results of a file with the columns `timestamp` and `value`, and the first and last time of windows."""
    table_of_series = _read(path)
    times = [datetime.fromisoformat(text or "") for text in table_of_series.columns["timestamp"]]
    is_anomaly = np.zeros(len(times), dtype=bool)
    for first, last in labelled:
        start, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
        is_anomaly |= np.array([start <= time <= end for time in times])
    n_fitted = int(FITTED_SHARE * len(times))
    values = np.array([float(text or "nan") for text in table_of_series.columns["value"]])
    started_at = time.perf_counter()
    own, windows, training = _fit(table_of_series, n_fitted)
    seconds = time.perf_counter() - started_at
    elements = own.elements(values)
    scores = {OWN: own.scores(elements)}
    forest = detectors(training)[FOREST]
    scores[FOREST] = _by_step(
        windows, forest(windows.split(torch.from_numpy(elements)).flatten(1).numpy()), len(values)
    )
    scores[PROFILE] = _matrix_profile(values[:n_fitted], values, windows.length)
    scored = {name: found[n_fitted:] for name, found in scores.items()}
    labels = is_anomaly[n_fitted:]
    return SeriesResult(
        name=path.name.removesuffix(".gz"),
        n_fitted=n_fitted,
        n_scored=len(labels),
        window=windows.length,
        vus_pr={name: volume_under_precision_recall(found, labels, MAX_BUFFER) for name, found in scored.items()},
        windows_found={name: share_of_ranges_found(found, labels, FALSE_ALARM_RATE) for name, found in scored.items()},
        seconds=seconds,
    )


@dataclass(frozen=True)
class _Fitted:
    """A fitted series: how its values become elements `[T, 1]`, and how these are scored, `[T]`."""

    elements: Callable[[Scores], Scores]
    scores: Callable[[Scores], Scores]


def _fit(whole: Table, n_fitted: int) -> tuple[_Fitted, Windows, Scores]:
    part = Table({name: cells[:n_fitted] for name, cells in whole.columns.items()}, whole.lines[:n_fitted])
    options = FitOptions(name="series", columns=("value",), false_alarm_rate=SUPPORTED_RATE)
    data = prepare_series(part, options, partial(score_held_out, max_seconds=MAX_SECONDS, seed=0))
    model = fit_model(data.split, false_alarm_rate=SUPPORTED_RATE, max_seconds=MAX_SECONDS, seed=0).model
    (column,) = data.columns

    def elements(values: Scores) -> Scores:
        return column.elements_of_all(values.tolist())

    def scores(rows: Scores) -> Scores:
        return anomaly_scores(model, [torch.from_numpy(rows)], model.scores[0]).double().numpy()

    if data.split.windows is None:
        raise ValueError("the series has no windows")
    return _Fitted(elements, scores), data.split.windows, data.split.training.flatten(1).double().numpy()


def _by_step(windows: Windows, scores: Scores, n_steps: int) -> Scores:
    found: Scores = windows.least(torch.from_numpy(scores), n_steps).numpy()
    return found


def _matrix_profile(fitted: Scores, values: Scores, length: int) -> Scores:
    """Return for each step the distance of the window in whose middle it is."""
    found = run_peer("matrix_profile", fitted, values, arguments=(str(length),))
    profile = np.nan_to_num(found, posinf=0.0)
    return np.pad(profile, (length // 2, length - 1 - length // 2), mode="edge")


def _read(path: Path) -> Table:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = list(csv.reader(io.StringIO(content.decode())))
    columns = dict(zip(rows[0], map(list, zip(*rows[1:], strict=True)), strict=True))
    return Table(columns, range(2, len(rows) + 1))


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--only", default="", help="Measure the series whose names contain this.")
@json_option
def series(folder: Path, only: str, as_json: bool) -> None:
    """Measure how well fitted series find labelled windows.

    FOLDER has files `.csv` or `.csv.gz` with the columns timestamp and value, and `windows.json`: for each file, the
    first and the last time of the windows that hold an anomaly. The Numenta Anomaly Benchmark has this form. The first
    15% of each series is fitted, and the rest is scored.

    \b
    Keys of the JSON output:
      series               a list:
        name               the name of the file
        n_fitted, n_scored steps that are fitted, and scored
        window             steps that are looked at together
        vus_pr             volume under the surface of precision and recall, by detector
        windows_found      share of the windows found at one false alarm in 1,000 steps, by detector
        seconds            the time of the fit
      mean_vus_pr, mean_windows_found
                           means over the series, by detector
    """
    labelled = json.loads((folder / "windows.json").read_text())
    names = sorted(name for name in labelled if only in name)
    results = []
    with progress("series") as bar:
        for name in bar.track(names):
            path = folder / name
            results.append(measure(path if path.exists() else path.with_suffix(".csv.gz"), labelled[name]))
    if not results:
        raise click.ClickException(f"{folder / 'windows.json'} names no file that contains {only!r}")
    means = {
        figure: {name: float(np.mean([getattr(each, figure)[name] for each in results])) for name in results[0].vus_pr}
        for figure in ("vus_pr", "windows_found")
    }
    output = {
        "series": [asdict(each) for each in results],
        "mean_vus_pr": means["vus_pr"],
        "mean_windows_found": means["windows_found"],
    }
    print_report(_report(results, means), output, as_json=as_json)


def _report(results: Sequence[SeriesResult], means: Mapping[str, Mapping[str, float]]) -> Report:
    names = list(means["vus_pr"])
    rows = [
        [
            each.name,
            str(each.window),
            *(f"{each.vus_pr[name]:.3f}" for name in names),
            *(f"{each.windows_found[name]:.2f}" for name in names),
        ]
        for each in results
    ]
    figures = [
        ["mean VUS-PR", *(f"{means['vus_pr'][name]:.4f}" for name in names)],
        ["mean share of windows found", *(f"{means['windows_found'][name]:.4f}" for name in names)],
    ]
    return Report(
        name="series",
        title="Anomalies in series",
        command="manifold bench series FOLDER",
        note=f"All fits take {sum(each.seconds for each in results):.0f} s together.",
        parts=[
            table(["", *names], figures),
            table(
                ["series", "window", *(f"VUS-PR: {name}" for name in names), *(f"found: {name}" for name in names)],
                rows,
            ),
        ],
    )
