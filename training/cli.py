"""The commands `manifold train` and `manifold evaluate`.

Modules that take seconds to import are imported when a command runs.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem
from typing_extensions import override

if TYPE_CHECKING:
    from rich.table import Table

    from training.data.files import DataFolder
    from training.publish import Measurement
    from training.recipe import TrainedModel

WEIGHTS = Path(__file__).parents[1] / "weights"


class RecipeName(click.ParamType[Any]):
    """The name of a recipe, which is that of its checkpoint."""

    name = "name"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from training.recipe import recipes

        return click.Choice(sorted(recipes())).convert(value, param, ctx)

    @override
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from training.recipe import recipes

        return [CompletionItem(name) for name in sorted(recipes()) if name.startswith(incomplete)]


_data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with a subfolder for each data set. Default: download to ./data.",
)
_weights_option = click.option(
    "--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True, help="Folder of the checkpoints."
)


def _data_folder(data: Path | None) -> "DataFolder":
    from training.data.files import DataFolder

    return DataFolder(data, download=False) if data else DataFolder(Path("data"), download=True)


@click.command()
@click.argument("name", type=RecipeName())
@_data_option
@_weights_option
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder for the state that an interrupted training resumes from, and for results that it computes once.",
)
@click.option("--device", help="Device to train on. Default: cuda where there is a GPU, and otherwise cpu.")
@click.option("--threads", type=int, help="Number of CPU threads. Default: all cores.")
@click.option(
    "--scores-only", is_flag=True, help="Keep the networks as they are, and only fit and calibrate the anomaly scores."
)
def train(
    name: str,
    data: Path | None,
    weights: Path,
    runs: Path,
    device: str | None,
    threads: int | None,
    scores_only: bool,
) -> None:
    """Train the checkpoint NAME, resuming an interrupted training, and write it to the weights folder."""
    import torch

    from training.errors import TrainingError
    from training.publish import publish, publish_scores
    from training.recipe import Resources, get_recipe
    from training.trainer import Run
    from training.trainer import train as run_recipe

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if threads:
        torch.set_num_threads(threads)
    try:
        resources = Resources(_data_folder(data), weights, runs / name / "cache")
        recipe = get_recipe(name)
        if scores_only:
            click.echo(f"published {publish_scores(recipe, resources)}")
            return

        def train_one(subfolder: str, seed: int, fold: int | None = None) -> "TrainedModel":
            run = Run(resources=resources, folder=runs / name / subfolder, device=device)
            result = run_recipe(recipe, run, seed, fold)
            result.model.to("cpu")
            return result

        result = train_one("all-items", 0)
        folds = [train_one(f"fold-{fold}", 1 + fold, fold) for fold in range(recipe.n_folds)]
        click.echo(f"published {publish(recipe, result, resources, folds)}")
    except KeyboardInterrupt:
        raise click.ClickException(
            "interrupted; run the same command again to resume from the last saved step"
        ) from None
    except TrainingError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.argument("names", nargs=-1, type=RecipeName())
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
    from rich.console import Console

    from training.errors import TrainingError
    from training.publish import measure
    from training.recipe import Resources

    try:
        resources = Resources(_data_folder(data), weights)
        measurements = measure(resources, names, rewrite=rewrite, on_start=_announce)
    except TrainingError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps([asdict(m) | {"holds": m.holds} for m in measurements], indent=2))
    else:
        Console().print(_table(measurements))
    sys.exit(not all(m.holds for m in measurements))


def _announce(name: str, number: int, total: int) -> None:
    """Say on standard error which checkpoint is being measured; the recipes show their own progress below."""
    click.echo(f"{name} ({number} of {total})", err=True)


def _table(measurements: "list[Measurement]") -> "Table":
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("checkpoint", "metric", "measured", "published", "must", "aim", "holds"):
        table.add_column(column, no_wrap=True)
    for m in measurements:
        numbers = ("" if number is None else f"{number:.5f}" for number in (m.measured, m.published, m.must, m.aim))
        table.add_row(m.checkpoint, m.metric, *numbers, "[green]yes" if m.holds else "[red]no")
    return table
