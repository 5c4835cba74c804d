"""The model card of a fitted table, and its charts.

Shapes: `N` rows, `W` elements of a row.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.codecs.table import TableCodec
from models.results import project_to_plane
from training.fit.comparison import OWN, Figures
from training.metrics import anomaly_scores, latents

CHARTS_FILE = "charts.png"
DPI, N_BINS, MAX_POINTS, MAX_BARS = 80, 60, 2_000, 20
SHOWN_QUANTILE = 0.995
"""Quantile of the scores at which the histogram ends, since a few far outliers would squeeze the rest."""


@dataclass(frozen=True)
class Facts:
    """What a model card of a fitted table tells.

    Attributes:
        name: the name of the checkpoint.
        source: the name of the file.
        n_rows: the number of rows that the model was fitted to.
        n_trained: how many of them the weights were trained on.
        n_calibrated: how many of them the threshold comes from.
        left_out: the columns that the model does not see, and why.
        false_alarm_rate: the share of normal rows that the threshold may flag.
        n_steps: the number of training steps.
        example: a row, in the types of JSON.
        figures: the figures of the model and of other detectors, where anomalies were labelled.
        n_anomalies: the number of labelled anomalies; 0 without labels.
        found_share: the share of them that the threshold flags.
    """

    name: str
    source: str
    n_rows: int
    n_trained: int
    n_calibrated: int
    left_out: Mapping[str, str]
    false_alarm_rate: float
    n_steps: int
    example: Mapping[str, Any]
    figures: Mapping[str, Figures] | None
    n_anomalies: int
    found_share: float


def card(facts: Facts, codec: TableCodec) -> str:
    """Return the model card in Markdown."""
    columns = "\n".join(
        f"| `{column.name}` | {column.kind} | {_details(column.describe())} |" for column in codec.columns
    )
    left_out = "".join(f"- `{name}`: {reason}\n" for name, reason in facts.left_out.items())
    request = json.dumps({"model": facts.name, "inputs": [facts.example]}, ensure_ascii=False)
    return f"""# {facts.name}

A denoising autoencoder of the rows of `{facts.source}`: {facts.n_rows} rows, {len(codec.columns)} columns.

![Scores, latents, and errors by column]({CHARTS_FILE})

Scores of the {facts.n_calibrated} rows that the model was not trained on, with the threshold; their latents; and what
each column contributes to their scores on average.

## Threshold

At most {facts.false_alarm_rate:.3g} of normal rows have a score above the threshold, on average over new rows like
these: it is the conformal one of the {facts.n_calibrated} rows that the model was not trained on. The weights were
trained on {facts.n_trained} rows in {facts.n_steps} steps.
{_comparison(facts)}
## Columns

| column | kind | |
|---|---|---|
{columns}

{"Left out:" if left_out else "No column was left out."}

{left_out}
## Try it

```
manifold serve
curl localhost:8000/detect-anomalies -H 'content-type: application/json' -d '{request}'
```
"""


def _details(described: Mapping[str, Any]) -> str:
    values = described.get("values")
    parts = [f"{len(values)} values and others"] if values is not None else []
    parts += [f"cycles: {', '.join(described['cycles'])}"] if "cycles" in described else []
    return "; ".join([*parts, *(["has gaps"] if described["has_gaps"] else [])])


def _comparison(facts: Facts) -> str:
    if not facts.n_anomalies:
        return ""
    found = f"The threshold flags {facts.found_share:.1%} of the {facts.n_anomalies} labelled anomalies."
    if facts.figures is None:
        return f"\n{found}\n"
    rows = "\n".join(
        f"| {name} | {each.auroc:.4f} | {each.average_precision:.4f} |" for name, each in facts.figures.items()
    )
    best = max(facts.figures, key=lambda name: facts.figures[name].auroc if facts.figures else 0.0)
    verdict = "" if best == OWN else f"\n\n**On these rows, {best} is better than this model.**"
    return f"""
{found}

| detector | AUROC | average precision |
|---|---|---|
{rows}{verdict}

All are trained on the same normal rows, and measured on the calibration rows and the labelled anomalies.
"""


def charts(model: Autoencoder, codec: TableCodec, normal: Tensor, anomalies: Tensor | None = None) -> bytes:
    """Return a PNG with three panels, of rows `[N, W]` that the model was not trained on.

    They are the histogram of the scores with the threshold, the latents in the plane of their two leading principal
    components, and the mean contribution of each column.
    """
    groups = {"normal": normal, **({"labelled anomalies": anomalies} if anomalies is not None else {})}
    figure = Figure((15.0, 4.6), DPI, layout="constrained")
    histogram, plane, bars = figure.subplots(1, 3)
    _draw_scores(histogram, model, groups)
    _draw_latents(plane, model, groups)
    _draw_columns(bars, model, codec, groups)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _draw_scores(axes: Any, model: Autoencoder, groups: Mapping[str, Tensor]) -> None:
    score = model.scores[0]
    scores = {name: anomaly_scores(model, list(rows), score) for name, rows in groups.items()}
    threshold = model.calibration.threshold(score, model.calibration.percentile)
    end = max(float(torch.cat(list(scores.values())).quantile(SHOWN_QUANTILE)), 1.2 * threshold)
    for name, found in scores.items():
        axes.hist(found.clamp(max=end).tolist(), N_BINS, range=(0.0, end), density=True, histtype="step", label=name)
    axes.axvline(threshold, color="black", linestyle="dashed", linewidth=1)
    axes.set(title="anomaly scores, and the threshold", xlabel=score, ylabel="density")
    if len(groups) > 1:
        axes.legend(fontsize="small")


def _draw_latents(axes: Any, model: Autoencoder, groups: Mapping[str, Tensor]) -> None:
    shown = {name: rows[:MAX_POINTS] for name, rows in groups.items()}
    codes = torch.cat([latents(model, list(rows)) for rows in shown.values()]).flatten(1)
    points = project_to_plane(codes, "pca").points
    for name, part in zip(shown, torch.split(points, [len(rows) for rows in shown.values()]), strict=True):
        x, y = part.T.tolist()
        axes.scatter(x, y, s=4, alpha=0.6, linewidths=0, label=name)
    axes.set(title="latents", xlabel="first principal component", ylabel="second")


def _draw_columns(axes: Any, model: Autoencoder, codec: TableCodec, groups: Mapping[str, Tensor]) -> None:
    means = {name: codec.by_column(_mean_contributions(model, rows[:MAX_POINTS])) for name, rows in groups.items()}
    ordered: Sequence[str] = sorted(means["normal"], key=lambda name: -max(part[name] for part in means.values()))
    names = list(reversed(ordered[:MAX_BARS]))
    for place, (group, part) in enumerate(means.items()):
        height = 0.8 / len(means)
        positions = [index + place * height for index in range(len(names))]
        axes.barh(positions, [part[name] for name in names], height, label=group)
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.set(title="mean contribution by column", xlabel=model.scores[0])


def _mean_contributions(model: Autoencoder, rows: Tensor) -> NDArray[np.float64]:
    with torch.inference_mode():
        parts = model.score_contributions(list(rows), model.scores[0])
    mean: NDArray[np.float64] = torch.stack(parts).double().mean(0).numpy()
    return mean
