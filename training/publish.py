"""From a trained model to a folder in `weights/`, and the check that the folder still measures what it says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.checkpoint import find_checkpoints, load_model, read_checkpoint, write_checkpoint, write_metrics
from models.family import Model
from training.data.files import DataFolder
from training.recipe import Recipe, recipe

CARD_FILE = "README.md"
PICTURE_FILE = "picture.png"
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

    @property
    def holds(self) -> bool:
        """Within the bar, and equal to what is published."""
        published = self.published is not None and math.isclose(self.measured, self.published, rel_tol=TOLERANCE)
        return published and (self.must is None or self.measured <= self.must)


def publish(recipe: Recipe, model: Model, data: DataFolder, root: Path) -> Path:
    """Write weights, metrics, card and picture below `root`; returns the folder."""
    folder = root / recipe.family / recipe.name
    write_checkpoint(
        folder,
        model,
        family_id=recipe.family,
        config=recipe.config,
        codec=recipe.codec,
        licence=recipe.licence,
        dtype=recipe.stored_dtype,
    )
    shipped = load_model(read_checkpoint(folder))
    metrics = recipe.evaluate(shipped, data)
    write_metrics(folder, metrics)
    (folder / CARD_FILE).write_text(recipe.card.format_map(metrics))
    (folder / PICTURE_FILE).write_bytes(recipe.picture(shipped, data))
    return folder


def measure(root: Path, data: DataFolder, only: Mapping[str, None] | None = None) -> list[Measurement]:
    """Evaluate every shipped checkpoint that has a recipe, or `only` some."""
    measurements: list[Measurement] = []
    for folder in find_checkpoints(root):
        if only and folder.name not in only:
            continue
        checkpoint = read_checkpoint(folder)
        its_recipe = recipe(folder.name)
        for metric, value in its_recipe.evaluate(load_model(checkpoint), data).items():
            bar = its_recipe.bars.get(metric)
            measurements.append(
                Measurement(
                    checkpoint=folder.name,
                    metric=metric,
                    measured=value,
                    published=checkpoint.metrics.get(metric),
                    must=bar.must if bar else None,
                    aim=bar.aim if bar else None,
                )
            )
    return measurements
