"""`manifold models`."""

import json
from typing import TYPE_CHECKING, Any

import click

from app.cli.errors import sentence
from models.errors import ModelsError

if TYPE_CHECKING:
    from models.checkpoint import Checkpoint


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array instead of a table.")
def models(as_json: bool) -> None:
    """List the checkpoints in the weights folder.

    The folder is the value of MANIFOLD_WEIGHTS_DIR if that is set, and otherwise the one that comes with Manifold.
    """
    from app.cli.settings_checks import checkpoint_folders
    from app.cli.options import read_settings, variable_name
    from models.checkpoint import read_checkpoint

    try:
        folders = checkpoint_folders(read_settings({}, variable_name), variable_name)
        checkpoints = [read_checkpoint(folder) for folder in folders]
    except ModelsError as error:
        raise click.ClickException(sentence(error)) from None
    if as_json:
        click.echo(json.dumps([_describe(checkpoint) for checkpoint in checkpoints], indent=2))
    else:
        _print_table(checkpoints)


def _describe(checkpoint: "Checkpoint") -> dict[str, Any]:
    return {
        "id": checkpoint.name,
        "family": checkpoint.spec.id,
        "tasks": checkpoint.task_names,
        "metrics": dict(checkpoint.metrics),
    }


def _print_table(checkpoints: "list[Checkpoint]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "family", "tasks", "metrics")
    for checkpoint in checkpoints:
        metrics = ", ".join(f"{name} {value:.5f}" for name, value in checkpoint.metrics.items())
        table.add_row(checkpoint.name, checkpoint.spec.id, ", ".join(checkpoint.task_names), metrics)
    Console().print(table)
