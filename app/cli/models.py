"""`manifold models`."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.formatting import wrap_text

from app.cli.errors import Refused, did_you_mean, in_words, sentence
from app.cli.tasks import complete_models, server_options
from models.errors import ModelsError

if TYPE_CHECKING:
    from models.checkpoint import Checkpoint


@click.command(params=server_options())
@click.argument("name", required=False, shell_complete=complete_models)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def models(name: str | None, url: str | None, key: str | None, as_json: bool) -> None:
    """List the models, or show all that is known of the model NAME.

    With --url, these are the models of a running server, with their states and memory; otherwise the checkpoints in the
    weights folder: the value of MANIFOLD_WEIGHTS_DIR if that is set, and else the one that comes with Manifold.
    """
    cards = _from_folder(name) if not url else asyncio.run(_from_server(url, key, name))
    if as_json:
        click.echo(json.dumps(cards[0] if name else cards, indent=2))
    elif name:
        _print_card(cards[0])
    elif not url:
        _print_checkpoints(cards)
    else:
        _print_states(cards)


def _from_folder(name: str | None) -> list[dict[str, Any]]:
    from app.cli.options import read_settings, variable_name
    from app.cli.settings_checks import checkpoint_folders
    from models.checkpoint import read_checkpoint

    try:
        folders = {
            folder.name: folder for folder in checkpoint_folders(read_settings({}, variable_name), variable_name)
        }
        if name is not None and name not in folders:
            known = f"There are {in_words([*folders], 'and')}."
            raise Refused([f"There is no model {name!r}.{did_you_mean(name, folders)} {known}"])
        return [_describe(read_checkpoint(folders[each])) for each in (folders if name is None else [name])]
    except ModelsError as error:
        raise click.ClickException(sentence(error)) from None


def _describe(checkpoint: "Checkpoint") -> dict[str, Any]:
    return {
        "id": checkpoint.name,
        "family": checkpoint.spec.id,
        "title": checkpoint.spec.title,
        "tasks": checkpoint.task_names,
        "default_for": list(checkpoint.default_for),
        "modality": checkpoint.modality,
        "item_shape": list(checkpoint.item_shape),
        "metrics": dict(checkpoint.metrics),
        "known_failings": checkpoint.known_failings,
        "licence": checkpoint.licence,
    }


async def _from_server(url: str, key: str | None, name: str | None) -> list[dict[str, Any]]:
    from urllib.parse import quote

    from app.cli.connection import connect

    async with connect(url, key, None) as connection:
        if name is not None:
            return [await connection.get(f"/models/{quote(name, safe='')}")]
        cards: list[dict[str, Any]] = (await connection.get("/models"))["models"]
        return cards


def _print_checkpoints(cards: Sequence[Mapping[str, Any]]) -> None:
    """Print a row for each checkpoint, and below the table the tasks that all of them with such items serve."""
    common = {
        is_text: _common_tasks([card for card in cards if _is_text(card) == is_text]) for is_text in (True, False)
    }
    rows = []
    for card in cards:
        tasks = [_command(task) for task in card["tasks"] if task not in common[_is_text(card)]]
        rows.append((card["id"], _short(card["family"]), card["modality"], ", ".join(tasks)))
    _print_table(("id", "family", "items", "tasks"), rows)
    for is_text, tasks in common.items():
        if tasks:
            listed = in_words([*map(_command, tasks)], "and")
            click.echo(wrap_text(f"\nAll {'models of texts' if is_text else 'other models'} serve {listed}."))


def _is_text(card: Mapping[str, Any]) -> bool:
    return bool(card["modality"] == "text")


def _common_tasks(cards: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the tasks that each of several models serves."""
    if len(cards) < 2:
        return []
    return [task for task in cards[0]["tasks"] if all(task in card["tasks"] for card in cards)]


def _command(task: str) -> str:
    return task.replace("_", "-")


def _print_states(cards: Sequence[Mapping[str, Any]]) -> None:
    from rich.filesize import decimal

    rows = []
    for card in cards:
        memory, queued = card["memory_bytes"], card["queued_items"]
        state = card["state"] if card["reason"] is None else f"{card['state']}: {card['reason']}"
        shown = ("" if memory is None else decimal(memory), "" if queued is None else str(queued))
        rows.append((card["id"], _short(card["family"] or ""), state, *shown))
    _print_table(("id", "family", "state", "memory", "queued"), rows)


def _short(family: str) -> str:
    """Return the name of a family without the folder that it is in."""
    return family.rpartition("/")[2]


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose last column is wrapped, and the others are not, so that it fits 80 columns."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        is_wrapped = column in ("tasks", "state")
        table.add_column(column, no_wrap=not is_wrapped, overflow="fold" if is_wrapped else "ellipsis")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def _print_card(card: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for field, value in card.items():
        if value not in (None, "", [], {}):
            table.add_row(field.replace("_", " "), Text(_in_words(value), overflow="fold"))
    Console().print(table)


def _in_words(value: Any) -> str:
    """Return a value as text for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "\n".join(f"{key} {_in_words(each)}" for key, each in value.items() if each is not None)
    if isinstance(value, list):
        return ", ".join(map(_in_words, value))
    return f"{value:.5g}" if isinstance(value, float) else str(value)
