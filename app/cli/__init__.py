"""`manifold`: `serve` and `models` here, the rest brought by the packages beside this one."""

import json
from importlib.metadata import entry_points
from typing import Any

import click
from pydantic import ValidationError
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.table import Table

from app.errors import ManifoldError
from app.process.serve import serve as run_server
from app.registry.hub import HubId
from app.registry.hub import pull as fetch
from app.settings import Settings
from models.checkpoint import Checkpoint, find_checkpoints, read_checkpoint
from models.errors import ModelsError


class Commands(click.Group):
    """Every entry point of the group `manifold.commands`, imported only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return sorted(entry.name for entry in entry_points(group="manifold.commands"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name."""
        found = next(iter(entry_points(group="manifold.commands", name=name)), None)
        if found is None:
            return None
        try:
            command: click.Command = found.load()
        except ModuleNotFoundError as error:
            return _unavailable(name, f"needs the package {error.name}, which an extra of Manifold installs")
        return command


def _unavailable(name: str, reason: str) -> click.Command:
    def refuse() -> None:
        raise click.ClickException(f"`manifold {name}` {reason}")

    return click.Command(name, callback=refuse, help=f"(Not installed: it {reason}.)")


@click.group(cls=Commands)
@click.version_option(package_name="manifold")
def main() -> None:
    """One server for representation models: autoencoders and Transformers."""


_PAIRS = {"model": "NAME=FOLDER or NAME=ORG/NAME", "dtypes": "NAME=DTYPE"}
"""Options that may be given often."""


def _options() -> list[click.Parameter]:
    """An option for every setting; its text, environment variable and default come from the setting."""
    options: list[click.Parameter] = []
    for name, field in Settings.model_fields.items():
        variable = f"MANIFOLD_{name.upper()}"
        if name in _PAIRS:
            help_ = f"{field.description}  [{variable}]"
            options.append(click.Option([f"--{name}"], multiple=True, metavar=_PAIRS[name], help=help_))
            continue
        default = "" if field.default in (PydanticUndefined, (), {}) else f"  [default: {field.default}]"
        options.append(
            click.Option([f"--{name.replace('_', '-')}"], help=f"{field.description}  [{variable}]{default}")
        )
    return options


def _settings(**given: Any) -> Settings:
    values = {name: value for name, value in given.items() if value not in (None, ())}
    for name in _PAIRS.keys() & values.keys():
        values[name] = dict(_pair(name, text) for text in values[name])
    if "default_models" in values:
        values["default_models"] = _json(values["default_models"])
    try:
        return Settings(**values)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors()]
        raise click.ClickException("; ".join(lines)) from None


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise click.ClickException(f"--{option} is {text!r}; it must be {_PAIRS[option]}")
    return name, value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise click.ClickException(f"--default-models is {text!r}; it must be a JSON object") from None


def _serve(**given: Any) -> None:
    """Serve the models over HTTP."""
    try:
        run_server(_settings(**given))
    except (ManifoldError, ModelsError) as error:
        raise click.ClickException(str(error)) from None


serve = click.Command("serve", params=_options(), callback=_serve, help=_serve.__doc__)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of a table.")
def models(as_json: bool) -> None:
    """List the checkpoints in the weights folder."""
    try:
        found = [read_checkpoint(folder) for folder in find_checkpoints(_settings().weights_dir)]
    except ModelsError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps([_row(checkpoint) for checkpoint in found], indent=2))
        return
    table = Table("id", "family", "tasks", "metrics")
    for checkpoint in found:
        metrics = ", ".join(f"{name} {value:.5f}" for name, value in checkpoint.metrics.items())
        tasks = ", ".join(checkpoint.task_names)
        table.add_row(checkpoint.name, checkpoint.spec.id, tasks, metrics)
    Console().print(table)


@click.command()
@click.argument("hub_id", metavar="ORG/NAME[@REVISION]")
def pull(hub_id: str) -> None:
    """Download a checkpoint from the hub, to be served with --model."""
    try:
        place = HubId.parse(hub_id)
        folder = fetch(place)
        checkpoint = read_checkpoint(folder, place.repository)
    except (ManifoldError, ModelsError) as error:
        raise click.ClickException(str(error)) from None
    name = place.repository.partition("/")[2]
    click.echo(f"{place.repository} at {folder.name}: {checkpoint.spec.title}; {', '.join(checkpoint.task_names)}")
    click.echo(f"manifold serve --model {name}={hub_id}")


def _row(checkpoint: Checkpoint) -> dict[str, Any]:
    tasks = checkpoint.task_names
    return {"id": checkpoint.name, "family": checkpoint.spec.id, "tasks": tasks, "metrics": dict(checkpoint.metrics)}
