"""The base class of autoencoder recipes: calibration, and pictures of the model card."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, ClassVar, cast

from torch import Tensor
from typing_extensions import override

from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import write_checkpoint, write_metrics
from models.codecs import build_codec
from models.family import Model
from training.calibrate import Scored, calibrate
from training.card import CARD_FILE, Picture, card
from training.charts import charts
from training.data.files import DataFolder
from training.recipe import Recipe, Resources, TrainedModel

PICTURE_FILE = "picture.png"
CHARTS_FILE = "charts.png"
CHARTS_CAPTION = "Latents and anomaly scores of items never trained on."
CARD_WIDTH = 120
"""Maximum number of characters of a line in a model card."""


class AutoencoderRecipe(Recipe):
    """A recipe of a calibrated autoencoder, whose model card shows one picture of its own and the charts.

    `codec` describes the items in the checkpoint's configuration. `caption` describes the recipe's own picture; in it,
    as in `procedure`, `{name:.5f}` is replaced by the value of a metric.
    """

    codec: ClassVar[Mapping[str, Any]]
    percentile: ClassVar[float] = 99.0
    """Percentile of the held-out normal items' scores that becomes the threshold of `/detect-anomalies`."""
    n_components: ClassVar[int] = 20
    """Number of Gaussians in the mixture fitted to the latents."""
    caption: ClassVar[str]

    @abstractmethod
    def calibration_items(self, data: DataFolder) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Return items the model was trained on, and the normal items whose scores are its calibration.

        Without folds, the model must not have been trained on the normal items. With folds, they are the training
        items, in order, and each is scored by the run that left it out, so that no normal item is lost to training.
        """

    def add_scores(self, model: Autoencoder, scored: Scored, resources: Resources) -> None:
        """Give a trained model anomaly scores beside those of its family, before they are calibrated; by default none.

        `scored` pairs the models whose scores are the calibration with the items that they score: `model` itself or,
        with folds, the models of the cross-validation, which need the same scores.
        """
        return

    def evaluate_scores(self, model: Model, resources: Resources) -> dict[str, float]:
        """Return those metrics of `evaluate` that depend on `add_scores` and on the calibration; by default none."""
        return {}

    @abstractmethod
    def picture(self, model: Model, resources: Resources) -> bytes:
        """Return a PNG for the model card."""

    @abstractmethod
    def chart_groups(self, data: DataFolder) -> Mapping[str, Sequence[Tensor]]:
        """Return items never trained on for the model card's charts, grouped by the name in the legend."""

    def chart_anomalies(self, data: DataFolder) -> Mapping[str, Sequence[Tensor]]:
        """Return anomalies whose scores the model card's charts show beside those of normal items; by default none."""
        return {}

    @override
    def write(self, folder: Path, run: TrainedModel, folds: Sequence[TrainedModel], resources: Resources) -> None:
        """Write the run's model with its calibration."""
        model = _frozen(run)
        training, normal = self.calibration_items(resources.data)
        scorers = [_frozen(run) for run in folds] or [model]
        scored = [(scorer, normal[number :: len(scorers)]) for number, scorer in enumerate(scorers)]
        self.add_scores(model, scored, resources)
        calibration = calibrate(model, training, scored, percentile=self.percentile, n_components=self.n_components)
        write_checkpoint(
            folder,
            model,
            calibration,
            family_id=self.family,
            config=self.config,
            codec=self.codec,
            licence=self.licence,
            dtype=self.stored_dtype,
        )

    @override
    def describe(self, folder: Path, model: Model, metrics: Mapping[str, float], resources: Resources) -> None:
        write_metrics(folder, metrics, default_for=self.default_for, known_failings=self.known_failings)
        (folder / PICTURE_FILE).write_bytes(self.picture(model, resources))
        (folder / CHARTS_FILE).write_bytes(
            charts(model, self.chart_groups(resources.data), self.chart_anomalies(resources.data))
        )
        pictures = (
            Picture(PICTURE_FILE, self.caption.format_map(metrics)),
            Picture(CHARTS_FILE, CHARTS_CAPTION),
        )
        (folder / CARD_FILE).write_text(card(self, metrics, pictures, image_section(self.codec)))


def image_section(codec: Mapping[str, Any]) -> dict[str, str]:
    """Return the section of a model card on encoded images, by its title; none if the items are not images."""
    style = getattr(build_codec(codec), "style", None)
    if style is None:
        return {}
    background = "white" if style.background else "black"
    text = f"Transparent pixels and the bars of images of another shape become {background}."
    if style.paper is not None:
        ink = "black" if style.paper == "white" else "white"
        text = (
            f"Ink is {ink} and paper is {style.paper}. {text} Images of {style.paper} ink need the parameter `invert`."
        )
    if style.ink_box is not None:
        text += (
            f" Drawings of another size or place need `centre`: the longer side of their ink then has {style.ink_box} "
            "pixels, and its centre of mass is the centre of the image."
        )
    return {"Encoded images": fill(text, CARD_WIDTH)}


def _frozen(run: TrainedModel) -> Autoencoder:
    return cast("Autoencoder", run.model.eval().requires_grad_(False))
