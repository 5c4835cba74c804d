"""The charts of a fitted checkpoint's model card.

Shapes: `N` scores, `E` elements of a row.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from models.autoencoding.anomalies import contributions_of
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.windows import reconstructions
from models.codecs.table import TableCodec
from models.results import project_to_plane
from training.fit.prepared import Prepared
from training.fit.training import Fitted
from training.metrics import anomaly_scores, latents

CHARTS_FILE = "charts.png"
DPI, N_BINS, MAX_POINTS, MAX_BARS = 80, 60, 2_000, 20
N_PICTURES = 8
MAX_DRAWN_STEPS = 400
"""Most steps of a series that are drawn beside their reconstruction."""
SHOWN_QUANTILE = 0.995
"""Quantile of the scores at which the histogram ends, since a few far outliers would squeeze the rest."""
Groups = Mapping[str, Sequence[Tensor]]
"""Items by what they are: normal, or with labelled anomalies."""


def charts(fitted: Fitted, data: Prepared) -> bytes:
    """Return a PNG with four panels, of items that the model was not trained on.

    They are the histogram of the scores with the threshold, the latents in the plane of their two leading principal
    components, the mean contribution of each column, and items beside their reconstructions.
    """
    model, normal = fitted.judge, fitted.judged.calibration
    groups: dict[str, Sequence[Tensor]] = {"normal": normal[:MAX_POINTS]}
    if len(data.anomalies):
        groups["labelled anomalies"] = data.anomalies[:MAX_POINTS]
    figure = Figure((15.0, 9.2), DPI, layout="constrained")
    (histogram, plane), (bars, curves) = figure.subplots(2, 2)
    _draw_scores(histogram, model, data)
    _draw_latents(plane, model, groups)
    if data.rows is None:
        _draw_map(bars, model, groups)
    else:
        _draw_columns(bars, model, data.rows, groups)
    _draw_reconstructions(curves, model, data, normal)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _draw_scores(axes: Any, model: Autoencoder, data: Prepared) -> None:
    score = model.scores[0]
    scores = {"normal": model.calibration.scores[score]}
    if len(data.anomalies):
        found = anomaly_scores(model, data.anomalies, score)
        scores["labelled anomalies"] = found[torch.from_numpy(data.is_anomaly)]
    threshold = model.calibration.threshold(score, model.calibration.percentile)
    end = max(float(np.quantile(torch.cat(list(scores.values())), SHOWN_QUANTILE)), 1.2 * threshold)
    for name, values in scores.items():
        axes.hist(values.clamp(max=end).tolist(), N_BINS, range=(0.0, end), density=True, histtype="step", label=name)
    axes.axvline(threshold, color="black", linestyle="dashed", linewidth=1)
    axes.set(title="anomaly scores, and the threshold", xlabel=score, ylabel="density")
    if len(scores) > 1:
        axes.legend(fontsize="small")


def _draw_latents(axes: Any, model: Autoencoder, groups: Groups) -> None:
    windows = model.windows
    shown = {
        name: list(items) if windows is None else list(torch.cat([windows.split(item) for item in items])[:MAX_POINTS])
        for name, items in groups.items()
    }
    codes = torch.cat([latents(model, items) for items in shown.values()]).flatten(1)
    points = project_to_plane(codes, "pca").points
    for name, part in zip(shown, torch.split(points, [len(items) for items in shown.values()]), strict=True):
        x, y = part.T.tolist()
        axes.scatter(x, y, s=4, alpha=0.6, linewidths=0, label=name)
    axes.set(title="latents", xlabel="first principal component", ylabel="second")


def _draw_columns(axes: Any, model: Autoencoder, codec: TableCodec, groups: Groups) -> None:
    means = {name: codec.by_column(_mean_contributions(model, items).numpy()) for name, items in groups.items()}
    ordered = sorted(means["normal"], key=lambda name: -max(part[name] for part in means.values()))
    names = list(reversed(ordered[:MAX_BARS]))
    for place, (group, part) in enumerate(means.items()):
        height = 0.8 / len(means)
        positions = [index + place * height for index in range(len(names))]
        axes.barh(positions, [float(part[name]) for name in names], height, label=group)
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.set(title="mean contribution by column", xlabel=model.scores[0])


def _draw_map(axes: Any, model: Autoencoder, groups: Groups) -> None:
    """Draw how much each pixel contributes on average, of the anomalies if there are any."""
    name, items = list(groups.items())[-1]
    axes.imshow(_mean_contributions(model, items).sum(0).numpy(), cmap="magma")
    axes.set(title=f"mean contribution by pixel, {name}", xticks=[], yticks=[])


def _mean_contributions(model: Autoencoder, items: Sequence[Tensor]) -> Tensor:
    """Return the mean contributions of the elements of items, or of those of all steps of series."""
    with torch.inference_mode():
        parts = contributions_of(model, items, model.scores[0])
    rows = torch.stack(parts) if model.windows is None else torch.cat(parts)
    return rows.double().mean(0)


def _draw_reconstructions(axes: Any, model: Autoencoder, data: Prepared, items: Sequence[Tensor]) -> None:
    """Draw the first column of a series, the elements of rows, or pictures, beside their reconstructions."""
    with torch.inference_mode():
        if data.rows is None:
            pictures = list(items[:N_PICTURES])
            pairs = zip(pictures, reconstructions(model, pictures), strict=True)
            drawn = torch.cat([torch.cat(pair, 1) for pair in pairs], 2)  # each above its reconstruction
            axes.imshow(drawn.permute(1, 2, 0).squeeze(2).numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set(title="pictures that were not trained on, and their reconstructions", xticks=[], yticks=[])
            return
        if model.windows is None:
            given = torch.stack(list(items[:MAX_POINTS]))
            restored = torch.stack(reconstructions(model, list(given)))
            axes.scatter(given.flatten().tolist(), restored.flatten().tolist(), s=3, alpha=0.4, linewidths=0)
            axes.axline((0, 0), slope=1, color="black", linestyle="dashed", linewidth=1)
            axes.set(title="elements of rows, and their reconstructions", xlabel="element", ylabel="reconstruction")
            return
        longest = max(items, key=len)[:MAX_DRAWN_STEPS]
        (curve,) = reconstructions(model, [longest])
    axes.plot(longest[:, 0].tolist(), color="#999999", label="series")
    axes.plot(curve[:, 0].tolist(), color="#2060c0", linewidth=1, label="reconstruction")
    axes.set(title=f"{data.columns[0].name}: a series that was not trained on", xlabel="step", ylabel="element")
    axes.legend(fontsize="small")
