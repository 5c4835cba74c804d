"""`manifold train` and `manifold evaluate`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from models.allocator import keep_freed_memory
from training.data.files import DataFolder
from training.errors import TrainingError
from training.publish import Measurement, measure, publish
from training.recipe import Resources, TrainedModel, get_recipe, recipes
from training.trainer import Run
from training.trainer import train as run_recipe

WEIGHTS = Path(__file__).parents[1] / "weights"

_data = click.option(
    "--data", type=click.Path(path_type=Path), help="Folder with one subfolder a data set. Default: download to ./data."
)
_weights = click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)


def _folder(data: Path | None) -> DataFolder:
    return DataFolder(data, download=False) if data else DataFolder(Path("data"), download=True)


@click.command()
@click.argument("name", type=click.Choice(sorted(recipes())))
@_data
@_weights
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Resumable state."
)
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu", show_default=True)
@click.option("--threads", type=int, help="CPU threads. Default: all cores.")
def train(name: str, data: Path | None, weights: Path, runs: Path, device: str, threads: int | None) -> None:
    """Train the checkpoint NAME, or go on where it was interrupted, and publish it in the weights folder."""
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    try:
        resources = Resources(_folder(data), weights)
        recipe = get_recipe(name)

        def trained(part: str, seed: int, fold: int | None = None) -> TrainedModel:
            run = run_recipe(recipe, Run(resources=resources, folder=runs / name / part, device=device), seed, fold)
            run.model.to("cpu")
            return run

        seeds = [trained(f"seed-{seed}", seed) for seed in range(recipe.n_seeds)]
        folds = [trained(f"fold-{fold}", recipe.n_seeds + fold, fold) for fold in range(recipe.n_folds)]
        click.echo(f"published {publish(recipe, seeds, resources, folds)}")
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; the same command goes on from the last saved step") from None
    except TrainingError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(recipes())))
@_data
@_weights
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of a table.")
@click.option("--rewrite", is_flag=True, help="Write cards, pictures and metrics anew from what is measured now.")
def evaluate(names: tuple[str, ...], data: Path | None, weights: Path, as_json: bool, rewrite: bool) -> None:
    """Measure the shipped checkpoints NAMES, or all, and compare with what their cards say and with their bars.

    Exits with 1 if a number differs from the published one or misses its bar.
    """
    try:
        measurements = measure(Resources(_folder(data), weights), names, rewrite=rewrite)
    except TrainingError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps([asdict(m) | {"holds": m.holds} for m in measurements], indent=2))
    else:
        Console().print(_table(measurements))
    sys.exit(not all(m.holds for m in measurements))


def _table(measurements: list[Measurement]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("checkpoint", "metric", "measured", "published", "must", "aim", "holds"):
        table.add_column(column, no_wrap=True)
    for m in measurements:
        numbers = ("" if number is None else f"{number:.5f}" for number in (m.measured, m.published, m.must, m.aim))
        table.add_row(m.checkpoint, m.metric, *numbers, "[green]yes" if m.holds else "[red]no")
    return table
