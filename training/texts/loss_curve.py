"""The picture of a training: its loss over its steps."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from training.recipe import History

WIDTH_IN, HEIGHT_IN, DPI = 8.0, 3.2, 80
N_SHOWN = 150
"""Points of a curve: neighbours are averaged."""


def loss_curve(histories: Mapping[str, History]) -> bytes:
    """A PNG, one panel a stage; the first fiftieth, where the loss falls from the sky, is left out."""
    figure = Figure((WIDTH_IN, HEIGHT_IN), DPI, layout="constrained")
    panels = figure.subplots(1, max(1, len(histories)), squeeze=False)[0]
    for panel, (name, history) in zip(panels, histories.items(), strict=True):
        first = len(history.steps) // 50
        steps, losses = (_thinned(values[first:]) for values in (history.steps, history.losses))
        panel.plot(steps, losses, linewidth=1)
        panel.set(title=name, xlabel="step", ylabel="loss")
        panel.grid(alpha=0.3)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _thinned(values: list[int] | list[float]) -> list[float]:
    parts = np.array_split(np.asarray(values, dtype=np.float64), min(N_SHOWN, max(1, len(values))))
    return [float(part.mean()) for part in parts if len(part)]
