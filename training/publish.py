"""Write trained models to a folder of `weights/`, and check that shipped checkpoints still measure what they state."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.checkpoint import find_checkpoints, load_model, read_checkpoint
from training.autoencoders import AutoencoderRecipe
from training.errors import DataError
from training.recipe import Recipe, Resources, TrainedModel, get_recipe

TOLERANCE = 1e-3
"""Relative tolerance of a measurement, since other processors sum in another order."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One metric of a checkpoint: as measured now, as published in its folder, and the bar it has to meet, if any."""

    checkpoint: str
    metric: str
    measured: float
    published: float | None
    must: float | None
    aim: float | None
    in_bar: bool

    @property
    def holds(self) -> bool:
        """Whether the metric meets its bar and equals the published value, within `TOLERANCE`."""
        is_close = self.published is not None and math.isclose(self.measured, self.published, rel_tol=TOLERANCE)
        return is_close and self.in_bar


def publish(recipe: Recipe, run: TrainedModel, resources: Resources, folds: Sequence[TrainedModel] = ()) -> Path:
    """Write the checkpoint, measure it as shipped, describe it, and return its folder.

    `run` is the training on all items, `folds` are those of the cross-validation.
    """
    folder = resources.weights / recipe.family / recipe.name
    recipe.write(folder, run, folds, resources)
    shipped = load_model(read_checkpoint(folder))
    recipe.describe(folder, shipped, recipe.evaluate(shipped, resources), resources)
    return folder


def publish_scores(recipe: Recipe, resources: Resources) -> Path:
    """Add the anomaly scores of a shipped checkpoint anew, calibrate them, and return its folder.

    Its networks stay as they are, and so do the published metrics that do not depend on the scores.

    Raises:
        DataError: the recipe is not one of an autoencoder, or its calibration needs the runs of a cross-validation; or
            a metric has not been published.
    """
    folder = resources.weights / recipe.family / recipe.name
    if not isinstance(recipe, AutoencoderRecipe) or recipe.n_folds:
        raise DataError(f"the anomaly scores of {recipe.name} cannot be calibrated without training")
    before = read_checkpoint(folder)
    recipe.write(folder, TrainedModel(load_model(before), {}), (), resources)
    shipped = load_model(read_checkpoint(folder))
    metrics = {**before.metrics, **recipe.evaluate_scores(shipped, resources)}
    if missing := [name for name in recipe.metrics if name not in metrics]:
        raise DataError(f"{recipe.name} has no published {missing[0]}; measure it by `manifold evaluate --rewrite`")
    recipe.describe(folder, shipped, {name: metrics[name] for name in recipe.metrics}, resources)
    return folder


def measure(
    resources: Resources,
    only: Collection[str] = (),
    *,
    rewrite: bool = False,
    on_start: Callable[[str, int, int], None] | None = None,
) -> list[Measurement]:
    """Evaluate every shipped checkpoint, or only those named; with `rewrite`, describe each anew.

    `on_start` is called before each, with its name, its number and the number of all.
    """
    measurements: list[Measurement] = []
    folders = [folder for folder in find_checkpoints(resources.weights) if not only or folder.name in only]
    for number, folder in enumerate(folders, 1):
        if on_start is not None:
            on_start(folder.name, number, len(folders))
        checkpoint = read_checkpoint(folder)
        recipe, model = get_recipe(folder.name), load_model(checkpoint)
        measured = recipe.evaluate(model, resources)
        if rewrite:
            recipe.describe(folder, model, measured, resources)
        for metric, value in measured.items():
            bar = recipe.bars.get(metric)
            measurements.append(
                Measurement(
                    checkpoint=folder.name,
                    metric=metric,
                    measured=value,
                    published=checkpoint.metrics.get(metric),
                    must=bar.must if bar else None,
                    aim=bar.aim if bar else None,
                    in_bar=bar is None or bar.holds(value),
                )
            )
    return measurements
