"""`manifold convert`, and the conversion that `manifold pull --convert` ends with."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.errors import WrongUsage, sentence
from models.errors import CheckpointError

if TYPE_CHECKING:
    from app.conversion.convert import Report


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option("--force", is_flag=True, help="Replace safetensors that are there already.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def convert(folder: Path, force: bool, as_json: bool) -> None:
    """Write the pickled weights of a checkpoint as safetensors, which can be served.

    The pickles pytorch_model.bin and, of diffusers, diffusion_pytorch_model.bin, or their shards, stay as they are.
    They are read by a process of its own, which runs none of their code and, on Linux, has no network.
    """
    if not folder.is_dir():
        raise WrongUsage([f"There is no folder {str(folder)!r}."])
    try:
        report = convert_folder(folder, force=force)
    except CheckpointError as error:
        raise click.ClickException(sentence(error)) from None
    if as_json:
        click.echo(json.dumps({"folder": str(folder)} | asdict(report), indent=2))
    else:
        print_report(report)


def convert_folder(folder: Path, *, force: bool) -> "Report":
    """Convert the pickles of a folder, and show the progress on standard error.

    Raises:
        CheckpointError: as `app.conversion.convert.convert` says.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from app.conversion.convert import convert as convert_weights

    columns = TextColumn("converting"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("converting", total=None)
        return convert_weights(
            folder, force=force, on_progress=lambda done, total: progress.update(bar, completed=done, total=total)
        )


def print_report(report: "Report") -> None:
    """Print a line for each file, and how the reading was isolated."""
    from rich.filesize import decimal

    for file in report.files:
        click.echo(f"{file.source} -> {file.target}: {file.n_tensors} tensors, {decimal(file.n_bytes)}")
        for name, kept in file.dropped.items():
            click.echo(f"  {name} is {kept}, which is written once")
    for name in report.kept:
        click.echo(f"{name}: there are safetensors beside it already; --force replaces them")
    if report.isolation:
        click.echo(f"The pickles were read by another process: {', '.join(report.isolation)}.")
