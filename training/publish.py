"""From trained models to a folder in `weights/`, and the check that the folder still measures what it says."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.checkpoint import find_checkpoints, read_checkpoint
from training.recipe import Recipe, Shelf, Trained, recipe

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


def publish(recipe: Recipe, runs: Sequence[Trained], shelf: Shelf, folds: Sequence[Trained] = ()) -> Path:
    """Write the checkpoint of the runs of all seeds, measure it as it ships and describe it; returns its folder."""
    folder = shelf.weights / recipe.family / recipe.name
    recipe.write(folder, runs, folds, shelf)
    shipped = recipe.load(folder)
    recipe.describe(folder, shipped[0], recipe.evaluate(shipped, shelf), shelf)
    return folder


def measure(shelf: Shelf, only: Collection[str] = (), *, rewrite: bool = False) -> list[Measurement]:
    """Evaluate every shipped checkpoint, or `only` some; `rewrite` describes each anew."""
    measurements: list[Measurement] = []
    for folder in find_checkpoints(shelf.weights):
        if only and folder.name not in only:
            continue
        published = read_checkpoint(folder).metrics
        its_recipe = recipe(folder.name)
        models = its_recipe.load(folder)
        measured = its_recipe.evaluate(models, shelf)
        if rewrite:
            its_recipe.describe(folder, models[0], measured, shelf)
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
