"""Draw the loss curves of a training."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from training.recipe import History

WIDTH_IN, HEIGHT_IN, DPI = 8.0, 3.2, 80
N_SHOWN = 150
"""Maximum number of points in a curve; neighbouring points are averaged."""


def loss_curve(histories: Mapping[str, History]) -> bytes:
    """Return a PNG with a panel for each stage; the steep first fiftieth of the steps is left out."""
    figure = Figure((WIDTH_IN, HEIGHT_IN), DPI, layout="constrained")
    panels = figure.subplots(1, max(1, len(histories)), squeeze=False)[0]
    for panel, (name, history) in zip(panels, histories.items(), strict=True):
        first = len(history.steps) // 50
        steps, losses = (_downsample(values[first:]) for values in (history.steps, history.losses))
        panel.plot(steps, losses, linewidth=1)
        panel.set(title=name, xlabel="step", ylabel="loss")
        panel.grid(alpha=0.3)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _downsample(values: list[int] | list[float]) -> list[float]:
    parts = np.array_split(np.asarray(values, dtype=np.float64), min(N_SHOWN, max(1, len(values))))
    return [float(part.mean()) for part in parts if len(part)]
