"""`manifold check`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.errors import WrongUsage, sentence
from models.errors import ModelsError

if TYPE_CHECKING:
    from models.checkpoint import Checkpoint
    from models.family import Model


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def check(folder: Path, as_json: bool) -> None:
    """Load a checkpoint, and print what was understood of it.

    If the folder has an expected.json, or a model card with an example of sentence-transformers, the model's answers
    are compared with it. The exit code is 1 if the checkpoint cannot be loaded, or if they differ.
    """
    from rich.console import Console
    from rich.markup import escape

    from models.checkpoint import load_model, read_checkpoint
    from models.checkpoint.self_check import check_answers

    if not folder.is_dir():
        raise WrongUsage([f"There is no folder {str(folder)!r}."])
    try:
        with Console(stderr=True).status(escape(f"Loading {folder}")):
            checkpoint = read_checkpoint(folder, folder.resolve().name)
            model = load_model(checkpoint)
            outcome = check_answers(checkpoint, model)
    except ModelsError as error:
        raise click.ClickException(sentence(error)) from None
    report = _describe(checkpoint, model) | {"self_check": outcome and outcome.to_dict()}
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _print_table(report)
    if outcome is not None and not outcome.agrees:
        described = outcome.describe(checkpoint.name)
        raise click.ClickException(f"{described[:1].upper()}{described[1:]}.")


def _describe(checkpoint: "Checkpoint", model: "Model") -> dict[str, Any]:
    from models.checkpoint.text_description import describe_text_model

    text = describe_text_model(checkpoint, model)
    return {
        "id": checkpoint.name,
        "family": checkpoint.spec.id,
        "tasks": checkpoint.task_names,
        "modality": checkpoint.modality,
        "max_tokens" if text else "item_shape": checkpoint.item_shape[0] if text else list(checkpoint.item_shape),
        **(asdict(text) if text else {}),
        "labels": list(model.labels),
        "parameters": model.n_parameters,
        "missing_heads": list(checkpoint.missing_heads),
        "unused_weights": checkpoint.unused,
        "licence": checkpoint.licence,
        "sha256": checkpoint.sha256,
    }


def _print_table(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "understood", show_header=False)
    for key, value in report.items():
        table.add_row(key.replace("_", " "), _in_words(value))
    Console().print(table)


def _in_words(value: Any) -> str:
    """Return a value of the report as text for people."""
    if value is None or value in ("", [], (), {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_in_words(each)}" for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
