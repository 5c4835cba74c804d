"""From trained models to a folder in `weights/`, and the check that the folder still measures what it says."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from safetensors.torch import load_file, save_file

from models.checkpoint import find_checkpoints, load_model, read_checkpoint, write_checkpoint, write_metrics
from models.family import Model
from models.layers.autoencoder import Autoencoder
from training.calibrate import calibrate
from training.card import card
from training.recipe import Recipe, Shelf, recipe

CARD_FILE = "README.md"
PICTURE_FILE = "picture.png"
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


def publish(recipe: Recipe, models: Sequence[Model], shelf: Shelf) -> Path:
    """Write weights, calibration, metrics, card and picture; returns the folder. `models` are those of all seeds."""
    folder = shelf.weights / recipe.family / recipe.name
    training, held_out = recipe.calibration_items(shelf.data)
    first = cast("Autoencoder", models[0].eval().requires_grad_(False))
    calibration = calibrate(first, training, held_out, percentile=recipe.percentile, n_components=recipe.n_components)
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
    metrics = recipe.evaluate(shipped, shelf)
    write_metrics(folder, metrics)
    (folder / PICTURE_FILE).write_bytes(recipe.picture(shipped[0], shelf))
    (folder / CARD_FILE).write_text(card(recipe, metrics))
    return folder


def load_all(folder: Path) -> list[Model]:
    """The shipped model and its replicas, in the order of their seeds."""
    checkpoint = read_checkpoint(folder)
    models = [load_model(checkpoint)]
    for path in sorted((folder / REPLICAS).glob("seed-*.safetensors")):
        replica: Model = checkpoint.spec.build(checkpoint.config)
        replica.load_state_dict(load_file(path))
        models.append(replica.float().eval().requires_grad_(False))
    return models


def measure(shelf: Shelf, only: Mapping[str, None] | None = None) -> list[Measurement]:
    """Evaluate every shipped checkpoint that has a recipe, or `only` some."""
    measurements: list[Measurement] = []
    for folder in find_checkpoints(shelf.weights):
        if only and folder.name not in only:
            continue
        published = read_checkpoint(folder).metrics
        its_recipe = recipe(folder.name)
        for metric, value in its_recipe.evaluate(load_all(folder), shelf).items():
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
