"""Render the charts of an autoencoder's model card: held-out items in the latent space and their anomaly scores."""

import io
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from matplotlib.figure import Figure
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.family import Model
from models.results import project_to_plane
from training.metrics import anomaly_scores, latents

WIDTH_IN, HEIGHT_IN, DPI = 11.0, 4.6, 80
N_BINS = 60
ANOMALY_COLOURS = ("black", "tab:cyan", "tab:brown")
"""Colours of the first groups of anomalies; further groups are not shown."""
SHOWN_QUANTILE = 0.995
"""Quantile of the scores at which the histogram ends, since a few far outliers would squeeze the rest."""


def charts(
    model: Model, groups: Mapping[str, Sequence[Tensor]], anomalies: Mapping[str, Sequence[Tensor]] | None = None
) -> bytes:
    """Return a PNG with two panels: the latents of each group, and the histograms of the groups' anomaly scores.

    Of the groups of `anomalies`, only the scores are shown, as areas; their density has a logarithmic scale then.

    The latents are shown in the plane of the two leading principal components of all groups. The scores, and the
    threshold drawn as a dashed line, are those of `/detect-anomalies` with its default parameters.
    """
    autoencoder = cast("Autoencoder", model)
    score = autoencoder.scores[0]
    codes = torch.cat([latents(autoencoder, items) for items in groups.values()])
    others = anomalies or {}
    scores = {name: anomaly_scores(autoencoder, items, score) for name, items in {**groups, **others}.items()}
    parts = torch.split(project_to_plane(codes.flatten(1), "pca").points, [len(items) for items in groups.values()])
    figure = Figure((WIDTH_IN, HEIGHT_IN), DPI, layout="constrained")
    plane, histogram = figure.subplots(1, 2)
    end = float(torch.cat(list(scores.values())).quantile(SHOWN_QUANTILE))
    for name, part in zip(groups, parts, strict=True):
        x, y = part.T.tolist()
        plane.scatter(x, y, s=3, alpha=0.6, label=name, linewidths=0)
        histogram.hist(scores[name].tolist(), N_BINS, range=(0.0, end), density=True, histtype="step", label=name)
    for name, colour in zip(others, ANOMALY_COLOURS, strict=False):
        values = scores[name].tolist()
        histogram.hist(values, N_BINS, range=(0.0, end), density=True, color=colour, alpha=0.4, label=name, log=True)
    threshold = autoencoder.calibration.threshold(score, autoencoder.calibration.percentile)
    histogram.axvline(threshold, color="black", linestyle="dashed", linewidth=1)
    plane.set(title="latents", xlabel="first principal component", ylabel="second")
    histogram.set(title="anomaly scores, and the threshold", xlabel=score, ylabel="density")
    if len(groups) > 1:
        plane.legend(markerscale=4, fontsize="small")
        histogram.legend(fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
