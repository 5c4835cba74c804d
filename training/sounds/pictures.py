"""Draw the spectrograms of sounds and of what a codec makes of them."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from models.autoencoders.encodec.objective import LogMel
from training.sounds.distance import SPEECH

WIDTH_IN, ROW_HEIGHT_IN, DPI = 9.0, 1.5, 80
MIN_DB, MAX_DB = -70.0, -10.0
"""Limits of the colours, in decibels relative to a sine of full scale."""


def spectrograms(rows: Mapping[str, Sequence[Tensor]], titles: Sequence[str]) -> bytes:
    """Return a PNG with a row of log-mel spectrograms for each kind of sounds, and a column for each title.

    Args:
        rows: sounds at 8 kHz, `[1, T]`, by what is written left of their row.
        titles: what is written above each column.
    """
    figure = Figure((WIDTH_IN, ROW_HEIGHT_IN * len(rows)), DPI, layout="constrained")
    panels = figure.subplots(len(rows), len(titles), squeeze=False)
    spectrogram = LogMel(SPEECH)
    for row, (label, sounds) in zip(panels, rows.items(), strict=True):
        for panel, sound in zip(row, sounds, strict=True):
            seconds = sound.shape[1] / SPEECH.sampling_rate
            panel.imshow(
                spectrogram(sound)[0].tolist(),
                origin="lower",
                aspect="auto",
                extent=(0, seconds, 0, SPEECH.n_bands),
                vmin=MIN_DB,
                vmax=MAX_DB,
                cmap="magma",
            )
            panel.set_yticks([])
            panel.tick_params(labelsize="x-small")
        row[0].set_ylabel(label, fontsize="small")
    for panel, title in zip(panels[0], titles, strict=True):
        panel.set_title(title, fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
