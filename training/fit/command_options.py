"""Options that several of the commands for a user's own data have."""

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
"""A function that becomes a command."""
DEFAULT_FOLDER = Path("checkpoints")
"""Folder of checkpoints, in which `manifold serve` looks as well."""
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def false_alarms_option(items: str) -> Callable[[Command], Command]:
    """Return the option for the promised rate of false alarms; `items` says what is counted, in the plural."""
    return click.option(
        "--false-alarms",
        "false_alarm_rate",
        type=click.FloatRange(0, 0.5, min_open=True),
        default=0.01,
        show_default=True,
        help=f"Share of normal {items} that may be called anomalies.",
    )


def folder_option(name: str, help_text: str) -> Callable[[Command], Command]:
    """Return the option for the folder of checkpoints."""
    folder = click.Path(file_okay=False, path_type=Path)
    return click.option(name, type=folder, default=DEFAULT_FOLDER, show_default=True, help=help_text)


def checkpoint_options(command: Command) -> Command:
    """Add the options of a command that writes a checkpoint."""
    options = (
        click.option("--name", required=True, help="Name of the checkpoint, by which requests will name the model."),
        folder_option("--output", "Folder in which the checkpoint's own folder is made."),
        click.option("--replace", is_flag=True, help="Replace a checkpoint of the same name."),
        json_option,
    )
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)
