"""From trained models to a folder in `weights/`, and the check that the folder still measures what it says."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from safetensors.torch import load_file, save_file

from models.checkpoint import find_checkpoints, load_model, read_checkpoint, write_checkpoint, write_metrics
from models.family import Model
from models.layers.autoencoder import Autoencoder
from training.calibrate import calibrate
from training.card import card
from training.charts import charts
from training.recipe import Recipe, Shelf, recipe

CARD_FILE = "README.md"
PICTURE_FILE = "picture.png"
CHARTS_FILE = "charts.png"
REPLICAS = "replicas"
"""Subfolder with the weights of the other seeds, where a metric is a mean over seeds."""
TOLERANCE = 1e-3
"""Relative; another processor sums in another order."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One metric: as measured now, as the checkpoint's folder says, and the bar, if there is one."""

    checkpoint: str
    metric: str
    measured: float
    published: float | None
    must: float | None
    aim: float | None
    in_bar: bool

    @property
    def holds(self) -> bool:
        """Within the bar, and equal to what is published."""
        is_close = self.published is not None and math.isclose(self.measured, self.published, rel_tol=TOLERANCE)
        return is_close and self.in_bar


def publish(recipe: Recipe, models: Sequence[Model], shelf: Shelf, folds: Sequence[Model] = ()) -> Path:
    """Write weights and calibration, then describe them; returns the folder. `models` are those of all seeds."""
    folder = shelf.weights / recipe.family / recipe.name
    training, normal = recipe.calibration_items(shelf.data)
    first = cast("Autoencoder", models[0].eval().requires_grad_(False))
    judges = [cast("Autoencoder", model.eval().requires_grad_(False)) for model in folds] or [first]
    judged = [(judge, normal[number :: len(judges)]) for number, judge in enumerate(judges)]
    calibration = calibrate(first, training, judged, percentile=recipe.percentile, n_components=recipe.n_components)
    write_checkpoint(
        folder,
        first,
        calibration,
        family_id=recipe.family,
        config=recipe.config,
        codec=recipe.codec,
        licence=recipe.licence,
        dtype=recipe.stored_dtype,
    )
    for seed, model in enumerate(models[1:], start=1):
        (folder / REPLICAS).mkdir(exist_ok=True)
        weights = {key: tensor.to(recipe.stored_dtype).contiguous() for key, tensor in model.state_dict().items()}
        save_file(weights, folder / REPLICAS / f"seed-{seed}.safetensors")
    shipped = load_all(folder)
    describe(recipe, folder, shipped[0], recipe.evaluate(shipped, shelf), shelf)
    return folder


def describe(recipe: Recipe, folder: Path, model: Model, metrics: Mapping[str, float], shelf: Shelf) -> None:
    """Write what was measured of the shipped `model` beside it: metrics, pictures, card."""
    write_metrics(folder, metrics)
    (folder / PICTURE_FILE).write_bytes(recipe.picture(model, shelf))
    (folder / CHARTS_FILE).write_bytes(charts(model, recipe.groups(shelf.data)))
    (folder / CARD_FILE).write_text(card(recipe, metrics))


def load_all(folder: Path) -> list[Model]:
    """The shipped model and its replicas, in the order of their seeds; all with the shipped calibration."""
    checkpoint = read_checkpoint(folder)
    models = [load_model(checkpoint)]
    for path in sorted((folder / REPLICAS).glob("seed-*.safetensors")):
        replica: Model = checkpoint.spec.build(checkpoint.config)
        replica.load_state_dict(load_file(path))
        replica.calibration = models[0].calibration
        models.append(replica.float().eval().requires_grad_(False))
    return models


def measure(shelf: Shelf, only: Collection[str] = (), *, rewrite: bool = False) -> list[Measurement]:
    """Evaluate every shipped autoencoder, or `only` some; `rewrite` describes each anew."""
    measurements: list[Measurement] = []
    for folder in find_checkpoints(shelf.weights):
        checkpoint = read_checkpoint(folder)
        if (only and folder.name not in only) or checkpoint.modality == "text":  # those are tiny, and not measured
            continue
        published = checkpoint.metrics
        its_recipe = recipe(folder.name)
        models = load_all(folder)
        measured = its_recipe.evaluate(models, shelf)
        if rewrite:
            describe(its_recipe, folder, models[0], measured, shelf)
        for metric, value in measured.items():
            bar = its_recipe.bars.get(metric)
            measurements.append(
                Measurement(
                    checkpoint=folder.name,
                    metric=metric,
                    measured=value,
                    published=published.get(metric),
                    must=bar.must if bar else None,
                    aim=bar.aim if bar else None,
                    in_bar=bar is None or bar.holds(value),
                )
            )
    return measurements
