"""The commands `manifold train` and `manifold evaluate`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from training.data.files import DataFolder
from training.errors import TrainingError
from training.publish import Measurement, measure, publish
from training.recipe import Resources, TrainedModel, get_recipe, recipes
from training.trainer import Run
from training.trainer import train as run_recipe

WEIGHTS = Path(__file__).parents[1] / "weights"

_data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with a subfolder for each data set. Default: download to ./data.",
)
_weights_option = click.option(
    "--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True, help="Folder of the checkpoints."
)


def _data_folder(data: Path | None) -> DataFolder:
    return DataFolder(data, download=False) if data else DataFolder(Path("data"), download=True)


@click.command()
@click.argument("name", type=click.Choice(sorted(recipes())))
@_data_option
@_weights_option
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder for the state that an interrupted training resumes from.",
)
@click.option(
    "--device", default="cuda" if torch.cuda.is_available() else "cpu", show_default=True, help="Device to train on."
)
@click.option("--threads", type=int, help="Number of CPU threads. Default: all cores.")
def train(name: str, data: Path | None, weights: Path, runs: Path, device: str, threads: int | None) -> None:
    """Train the checkpoint NAME, resuming an interrupted training, and write it to the weights folder."""
    if threads:
        torch.set_num_threads(threads)
    try:
        resources = Resources(_data_folder(data), weights)
        recipe = get_recipe(name)

        def train_one(subfolder: str, seed: int, fold: int | None = None) -> TrainedModel:
            run = Run(resources=resources, folder=runs / name / subfolder, device=device)
            result = run_recipe(recipe, run, seed, fold)
            result.model.to("cpu")
            return result

        seeds = [train_one(f"seed-{seed}", seed) for seed in range(recipe.n_seeds)]
        folds = [train_one(f"fold-{fold}", recipe.n_seeds + fold, fold) for fold in range(recipe.n_folds)]
        click.echo(f"published {publish(recipe, seeds, resources, folds)}")
    except KeyboardInterrupt:
        raise click.ClickException(
            "interrupted; run the same command again to resume from the last saved step"
        ) from None
    except TrainingError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(recipes())))
@_data_option
@_weights_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@click.option(
    "--rewrite", is_flag=True, help="Write the measured metrics, new cards and new pictures into the checkpoints."
)
def evaluate(names: tuple[str, ...], data: Path | None, weights: Path, as_json: bool, rewrite: bool) -> None:
    """Measure the shipped checkpoints NAMES, or all, and compare with their cards and with the required values.

    The exit status is 1 if a measurement differs from the published value or misses the required one.
    """
    try:
        measurements = measure(Resources(_data_folder(data), weights), names, rewrite=rewrite)
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
