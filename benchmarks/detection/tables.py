"""Fit tables as `manifold fit` does, and measure how well their anomalies are found.

Protocol: a random half of the normal rows, at most 10,000, is fitted; the other half and all anomalies, at most 20,000
each, are scored. Nothing is chosen by set.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.detection.peer import Scores, run_peer
from benchmarks.lib.report import Report, json_option, print_report, progress, table
from models.autoencoding.detector import DETECTOR_SCORES
from models.codecs.table import TableCodec
from training.fit.columns import number_column
from training.fit.comparison import OWN, detectors
from training.fit.options import FitOptions
from training.fit.rows import n_calibrated_of, split_without_anomalies
from training.fit.training import fit_model, score_held_out
from training.metrics import anomaly_scores

PYOD = "PyOD AutoEncoder"
MAX_FITTED, MAX_SCORED = 10_000, 20_000
FALSE_ALARM_RATE = 0.01
MAX_SECONDS = 60.0


@dataclass(frozen=True)
class SetResult:
    """The means over all seeds of one set.

    Attributes:
        name: the name of the set's file.
        auroc: the area under the receiver operating characteristic by score or detector.
        average_precision: the average precision by score or detector.
        promised: the promised share of false alarms: 1%, or the least that the rows support.
        false_alarms: the share of the normal rows that were called anomalies.
        p_value: the chance of so many false alarms, or more, if the promise is kept: a binomial test.
        left_out: the share of the rows that were left out of the fit, because they look like anomalies.
        seconds: the time of a fit.
    """

    name: str
    auroc: Mapping[str, float]
    average_precision: Mapping[str, float]
    promised: float
    false_alarms: float
    p_value: float
    left_out: float
    seconds: float


@dataclass(frozen=True)
class _Run:
    """One seed: the scores of all rows by detector, whether each is an anomaly, and the false alarms."""

    scores: Mapping[str, Scores]
    is_anomaly: NDArray[np.bool_]
    promised: float
    n_false_alarms: int
    n_normal: int
    left_out: float
    seconds: float


def measure(path: Path, seeds: Iterable[int]) -> SetResult:
    """Return the results of one set: an `.npz` file with the numbers `X` `[n, d]`, and `y` `[n]`, 1 for anomalies."""
    from scipy.stats import binom
    from sklearn.metrics import average_precision_score, roc_auc_score

    with np.load(path) as arrays:
        rows, is_anomaly = arrays["X"].astype(np.float64), arrays["y"] == 1
    runs = [_run(rows, is_anomaly, seed) for seed in seeds]

    def means(figure: "roc_auc_score") -> dict[str, float]:
        return {
            name: float(np.mean([figure(run.is_anomaly, run.scores[name]) for run in runs])) for name in runs[0].scores
        }

    n_false_alarms, n_normal = sum(run.n_false_alarms for run in runs), sum(run.n_normal for run in runs)
    return SetResult(
        name=path.stem,
        auroc=means(roc_auc_score),
        average_precision=means(average_precision_score),
        promised=runs[0].promised,
        false_alarms=n_false_alarms / n_normal,
        p_value=float(binom.sf(n_false_alarms - 1, n_normal, runs[0].promised)),
        left_out=float(np.mean([run.left_out for run in runs])),
        seconds=float(np.mean([run.seconds for run in runs])),
    )


def _run(rows: Scores, is_anomaly: NDArray[np.bool_], seed: int) -> _Run:
    normal, strange = np.flatnonzero(~is_anomaly), np.flatnonzero(is_anomaly)
    normal = normal[np.random.default_rng(seed).permutation(len(normal))]
    half = len(normal) // 2
    fitted, held_out = rows[normal[:half][:MAX_FITTED]], rows[normal[half:][:MAX_SCORED]]
    scored = np.concatenate([held_out, rows[strange[:MAX_SCORED]]])
    started_at = time.perf_counter()
    codec = TableCodec(tuple(number_column(str(n), column) for n, column in enumerate(fitted.T)))
    elements = _elements(codec, fitted)
    promised = max(FALSE_ALARM_RATE, math.ceil(1000 / (n_calibrated_of(len(elements)) + 1)) / 1000)
    options = FitOptions(name="set", false_alarm_rate=promised, seed=seed)
    score = partial(score_held_out, max_seconds=MAX_SECONDS, seed=0)
    split, n_suspects = split_without_anomalies(elements.float(), options, score)
    model = fit_model(split, false_alarm_rate=promised, max_seconds=MAX_SECONDS, seed=seed).model
    seconds = time.perf_counter() - started_at
    items = _elements(codec, scored)
    scores = {name: anomaly_scores(model, list(items), name).double().numpy() for name in DETECTOR_SCORES}
    threshold = model.calibration.threshold(model.scores[0], model.calibration.percentile)
    n_false_alarms = int((scores[model.scores[0]][: len(held_out)] > threshold).sum())
    scores |= {name: detect(items.numpy()) for name, detect in detectors(elements.numpy()).items()}
    mean, deviation = fitted.mean(0), fitted.std(0)
    deviation[deviation == 0] = 1.0
    scores[PYOD] = run_peer("pyod", (fitted - mean) / deviation, (scored - mean) / deviation)
    labels = np.arange(len(scored)) >= len(held_out)
    return _Run(scores, labels, promised, n_false_alarms, len(held_out), n_suspects / len(elements), seconds)


def _elements(codec: TableCodec, rows: Scores) -> Tensor:
    columns = [
        [column.elements_of(value)[0] for value in values.tolist()]
        for column, values in zip(codec.columns, rows.T, strict=True)
    ]
    return torch.tensor(columns, dtype=torch.float64).T


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--seeds", "n_seeds", default=3, show_default=True, help="Splits of each set.")
@click.option("--only", default="", help="Measure the sets whose names contain this.")
@json_option
def tables(folder: Path, n_seeds: int, only: str, as_json: bool) -> None:
    """Measure how well fitted tables find anomalies.

    FOLDER has a file `.npz` for each set: the numbers X, and y, which is 1 for anomalies; those of ADBench have this
    form. A random half of the normal rows is fitted, and the others and the anomalies are scored.

    \b
    Keys of the JSON output:
      sets                 a list:
        name               the name of the file
        auroc, average_precision
                           means over the splits, by score of the model and by detector
        promised           the promised share of false alarms
        false_alarms       the share of normal rows that were called anomalies
        p_value            the chance of so many or more, if the promise is kept
        left_out           the share of the rows that were left out of the fit
        seconds            the time of a fit
      mean_auroc, mean_average_precision
                           means over the sets, by score and by detector
    """
    paths = sorted(path for path in folder.glob("*.npz") if only in path.stem)
    with progress("tables") as bar:
        results = [measure(path, range(n_seeds)) for path in bar.track(paths)]
    if not results:
        raise click.ClickException(f"there is no file .npz in {folder} whose name contains {only!r}")
    means = {
        figure: {name: float(np.mean([getattr(each, figure)[name] for each in results])) for name in results[0].auroc}
        for figure in ("auroc", "average_precision")
    }
    output = {
        "sets": [asdict(each) for each in results],
        "mean_auroc": means["auroc"],
        "mean_average_precision": means["average_precision"],
    }
    print_report(_report(results, means), output, as_json=as_json)


def _report(results: Sequence[SetResult], means: Mapping[str, Mapping[str, float]]) -> Report:
    names = list(means["auroc"])
    rows = [
        [each.name, *(f"{each.auroc[name]:.3f}" for name in names), f"{each.false_alarms:.3f} of {each.promised:.3f}"]
        for each in results
    ]
    figures = [
        ["mean AUROC", *(f"{means['auroc'][name]:.4f}" for name in names)],
        ["mean average precision", *(f"{means['average_precision'][name]:.4f}" for name in names)],
    ]
    seconds = sum(each.seconds for each in results)
    return Report(
        name="tables",
        title="Anomalies in tables",
        command="manifold bench tables FOLDER",
        note=f"`{OWN}` is the score `{DETECTOR_SCORES[0]}`; one fit of every set takes {seconds:.0f} s together.",
        parts=[
            table(["", *names], figures),
            table(["set", *(f"{name}" for name in names), "false alarms of those promised"], rows),
        ],
    )
