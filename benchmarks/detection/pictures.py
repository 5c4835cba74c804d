"""Measure how well fitted pictures find small faults, on pictures of parts that are drawn here."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.detection.peer import Scores
from benchmarks.lib.report import Report, json_option, print_report, progress, table
from training.fit.comparison import OWN, detectors
from training.fit.pictures import N_FOLDS
from training.fit.rows import split_rows
from training.fit.training import fit_model
from training.metrics import anomaly_scores

N_FITTED, N_NORMAL, N_FAULTY = 300, 100, 30
SIDE_PX, SCALE = 64, 4
"""Side of a picture, and how much larger it is drawn."""
FALSE_ALARM_RATE = 0.01
Drawn = Image.Image
Draw = Callable[[np.random.Generator, int | None], NDArray[np.float64]]
"""Draws a picture `[H, W]` or `[H, W, 3]` in [0, 255], with a fault of the given kind unless it is None."""


@dataclass(frozen=True)
class PictureResult:
    """The results of one kind of pictures.

    Attributes:
        name: what is drawn.
        auroc: the area under the receiver operating characteristic by score or detector.
        found: the share of the faulty pictures above the threshold of the fit.
        false_alarms: the share of the normal pictures above it.
        seconds: the time of the fit.
    """

    name: str
    auroc: Mapping[str, float]
    found: float
    false_alarms: float
    seconds: float


def washer(rng: np.random.Generator, fault: int | None) -> NDArray[np.float64]:
    """Draw a disc with a hole, a little off its place; faults are a scratch, a spot and a bite in its edge."""
    size = SCALE * SIDE_PX
    image = Image.new("L", (size, size), int(rng.integers(25, 45)))
    x, y = size / 2 + rng.normal(0, 4, 2)
    radius, hole, grey = size * 0.36 + rng.normal(0, 2), size * 0.14 + rng.normal(0, 2), int(rng.integers(165, 195))
    _disc(image, x, y, radius, grey)
    _disc(image, x, y, hole, 30)
    angle, turn = rng.uniform(0, 2 * np.pi, 2)
    between = (hole + radius) / 2
    at_x, at_y = x + between * np.cos(angle), y + between * np.sin(angle)
    if fault == 0:
        along = rng.uniform(16, 28) * np.array([np.cos(turn), np.sin(turn)])
        ends = (at_x - along[0], at_y - along[1], at_x + along[0], at_y + along[1])
        ImageDraw.Draw(image).line(ends, fill=grey - 70, width=6)
    elif fault == 1:
        _disc(image, at_x, at_y, rng.uniform(8, 13), grey - 60)
    elif fault == 2:
        _disc(image, x + radius * np.cos(angle), y + radius * np.sin(angle), rng.uniform(14, 20), 32)
    return _photograph(image, rng)


def cloth(rng: np.random.Generator, fault: int | None) -> NDArray[np.float64]:
    """Draw a weave whose threads lie elsewhere in each picture; faults are a missing thread, a stain and a cut."""
    rows, columns = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    phases = rng.uniform(0, 2 * np.pi, 2)
    woven: NDArray[np.float64] = (
        120 + 45 * np.sin(2 * np.pi * columns / 8 + phases[0]) + 45 * np.sin(2 * np.pi * rows / 6 + phases[1])
    )
    y, x = rng.integers(8, SIDE_PX - 12, 2)
    if fault == 0:
        woven[y : y + 2, max(0, x - 9) : x + 9] = 125
    elif fault == 1:
        woven[y : y + 5, x : x + 5] = 0.3 * woven[y : y + 5, x : x + 5] + 0.7 * 160
    elif fault == 2:
        woven[y : y + 9, x : x + 2] = 40
    return woven + rng.normal(0, 8, woven.shape)


def board(rng: np.random.Generator, fault: int | None) -> NDArray[np.float64]:
    """Draw a board with parts, in colour; faults are a missing part, a scratch and a part beside its place."""
    image = Image.new("RGB", (SCALE * SIDE_PX,) * 2, (20, int(rng.integers(80, 100)), 40))
    draw, (x, y) = ImageDraw.Draw(image), rng.normal(0, 3, 2)
    parts = [
        (30, 30, 60, 40, (30, 30, 30)),
        (150, 40, 40, 40, (200, 180, 60)),
        (40, 140, 30, 70, (160, 160, 170)),
        (120, 130, 90, 60, (25, 25, 30)),
    ]
    for number, (left, top, width, height, colour) in enumerate(parts):
        if fault == 0 and number == 1:
            continue
        away = 12 if fault == 2 and number == 2 else 0
        draw.rectangle((left + x + away, top + y, left + x + away + width, top + y + height), fill=colour)
    if fault == 1:
        from_x, from_y = rng.uniform(40, 200, 2)
        draw.line((from_x, from_y, from_x + 24, from_y + 14), fill=(220, 220, 220), width=4)
    return _photograph(image, rng)


DRAWERS: Mapping[str, Draw] = {"washers": washer, "cloth": cloth, "boards": board}


def measure(name: str, max_seconds: float) -> PictureResult:
    """Fit pictures of one kind, and return how well others with faults are told from others without."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    fitted = _pictures(name, rng, [None] * N_FITTED)
    scored = _pictures(name, rng, [*[None] * N_NORMAL, *(number % 3 for number in range(N_FAULTY))])
    is_faulty = np.arange(len(scored)) >= N_NORMAL
    started_at = time.perf_counter()
    split = split_rows(fitted, FALSE_ALARM_RATE, seed=0, n_folds=N_FOLDS)
    model = fit_model(split, false_alarm_rate=FALSE_ALARM_RATE, max_seconds=max_seconds, seed=0).model
    seconds = time.perf_counter() - started_at
    scores: dict[str, Scores] = {
        each: anomaly_scores(model, list(scored), each).double().numpy() for each in model.scores
    }
    is_above = scores[model.scores[0]] > model.calibration.threshold(model.scores[0], model.calibration.percentile)
    found = detectors(fitted.flatten(1).double().numpy())
    scores |= {peer: detect(scored.flatten(1).double().numpy()) for peer, detect in found.items()}
    return PictureResult(
        name=name,
        auroc={each: float(roc_auc_score(is_faulty, values)) for each, values in scores.items()},
        found=float(is_above[is_faulty].mean()),
        false_alarms=float(is_above[~is_faulty].mean()),
        seconds=seconds,
    )


def _pictures(name: str, rng: np.random.Generator, faults: Sequence[int | None]) -> Tensor:
    """Return a picture for each fault, `[n, C, H, W]` in [0, 1]."""
    drawn = np.stack([np.atleast_3d(DRAWERS[name](rng, fault)) for fault in faults])
    return torch.from_numpy(drawn.clip(0, 255).round() / 255).permute(0, 3, 1, 2).float()


def _disc(image: Drawn, x: float, y: float, radius: float, grey: int) -> None:
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=grey)


def _photograph(image: Drawn, rng: np.random.Generator) -> NDArray[np.float64]:
    small = np.asarray(image.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS), dtype=np.float64)
    return small + rng.normal(0, 5, small.shape)


@click.command()
@click.option("--seconds", default=120.0, show_default=True, help="Time limit of each training.")
@click.option("--only", default="", help="Measure the pictures whose names contain this.")
@json_option
def pictures(seconds: float, only: str, as_json: bool) -> None:
    """Measure how well fitted pictures find small faults.

    Pictures of washers, cloth and boards are drawn: 300 are fitted, and 100 others and 30 with faults are scored.

    \b
    Keys of the JSON output:
      pictures             a list:
        name               what is drawn
        auroc              by score of the model and by detector
        found              the share of the faulty pictures above the threshold
        false_alarms       the share of the normal pictures above it, of 0.01 that were promised
        seconds            the time of the fit
    """
    with progress("pictures") as bar:
        results = [measure(name, seconds) for name in bar.track([name for name in DRAWERS if only in name])]
    if not results:
        raise click.ClickException(f"no pictures have a name that contains {only!r}")
    print_report(_report(results), {"pictures": [asdict(each) for each in results]}, as_json=as_json)


def _report(results: Sequence[PictureResult]) -> Report:
    names, seconds = list(results[0].auroc), sum(each.seconds for each in results)
    return Report(
        name="pictures",
        title="Faults in pictures",
        command="manifold bench pictures",
        note=f"`{OWN}` is the score `{names[0]}`; all fits take {seconds:.0f} s together.",
        parts=[
            table(["AUROC", *names], [[each.name, *(f"{each.auroc[name]:.3f}" for name in names)] for each in results]),
            table(
                ["pictures", "faulty ones found", "false alarms"],
                [[each.name, f"{each.found:.2f}", f"{each.false_alarms:.2f}"] for each in results],
            ),
        ],
    )
