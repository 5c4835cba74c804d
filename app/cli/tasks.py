"""The tasks as commands, made from their schemas: a new module in `app.schemas` is a new command.

Listing the commands reads the sources of the schemas and imports none, because importing them takes seconds.
"""

import ast
import asyncio
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import click
from click.shell_completion import CompletionItem
from typing_extensions import override

import app.schemas as schemas
from app.cli.errors import sentence
from app.cli.inputs import Format

if TYPE_CHECKING:
    from app.cli.parameters import ParameterOption
    from app.schemas.shared.task_schema import TaskEndpoint

CLIENT_VARIABLES = ("MANIFOLD_URL", "MANIFOLD_KEY")
"""Variables of commands that use a running server, for its address and its key; they are no settings of the server."""
HELP_WIDTH = 34
"""Width of the column of options in the help."""


class TaskSource(NamedTuple):
    """A task as the source of its schema declares it: the module, and what it does, in one line."""

    module: str
    summary: str


@cache
def find_tasks() -> dict[str, TaskSource]:
    """Return the tasks by the names of their commands."""
    return {name: source for found in iter_modules(schemas.__path__) for name, source in _read_source(found.name)}


def _read_source(module: str) -> Iterator[tuple[str, TaskSource]]:
    """Yield the name of the command and the task, if a module of `app.schemas` declares one."""
    name = f"{schemas.__name__}.{module}"
    spec = find_spec(name)
    source = (
        Path(spec.origin).read_text("utf-8") if spec and spec.origin and not spec.submodule_search_locations else ""
    )
    if "ENDPOINT" not in source:
        return
    for statement in ast.parse(source).body:
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        if any(isinstance(target, ast.Name) and target.id == "ENDPOINT" for target in targets):
            task, summary = _read_declaration(statement, name)
            yield task.replace("_", "-"), TaskSource(name, summary)


def _read_declaration(statement: ast.stmt, module: str) -> tuple[str, str]:
    """Return the name and the summary of a task from the statement that declares it; from the module if need be."""
    call = getattr(statement, "value", None)
    values = {each.arg: each.value for each in call.keywords} if isinstance(call, ast.Call) else {}
    name, summary = values.get("name"), values.get("summary")
    if isinstance(name, ast.Constant) and isinstance(summary, ast.Constant):
        return str(name.value), str(summary.value)
    endpoint: TaskEndpoint = import_module(module).ENDPOINT
    return endpoint.name, endpoint.summary


def task_command(name: str) -> click.Command:
    """Return the command of a task, with an option for each of its parameters."""
    endpoint: TaskEndpoint = import_module(find_tasks()[name].module).ENDPOINT
    return TaskCommand(name, endpoint)


class TaskCommand(click.Command):
    """A command that runs a task."""

    def __init__(self, name: str, endpoint: "TaskEndpoint") -> None:
        self._endpoint = endpoint
        self._sections = _sections(endpoint)
        options = [option for section in self._sections.values() for option in section]
        inputs = click.Argument(["inputs"], nargs=-1, metavar="[INPUTS]...", shell_complete=complete_files)
        arguments = [inputs] if _has_inputs(endpoint) else []
        super().__init__(name, callback=self._run, params=[*arguments, *options], help=_help(endpoint))

    @override
    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        help_option = self.get_help_option(ctx)
        for heading, options in (self._sections | {"Help": [help_option] if help_option else []}).items():
            records = [record for option in options if (record := option.get_help_record(ctx))]
            if records:
                with formatter.section(heading):
                    formatter.write_dl([(name.ljust(HELP_WIDTH), text) for name, text in records], col_max=HELP_WIDTH)

    def _run(self, **values: Any) -> None:
        from app.cli.task_run import run_task
        from app.errors import ManifoldError
        from models.errors import ModelsError

        try:
            asyncio.run(run_task(self._endpoint, values))
        except (ManifoldError, ModelsError) as error:
            raise click.ClickException(sentence(error)) from None


def _help(endpoint: "TaskEndpoint") -> str:
    if not _has_inputs(endpoint):
        return endpoint.description
    words = "" if endpoint.is_about_texts else " of several words"
    texts = f" An input{words} that names no file is a text itself." if "text" in endpoint.kinds else ""
    read = "INPUTS are files, or - for standard input, which is read as well if there are none."
    return f"{endpoint.description}\n\n{read}{texts}"


def _has_inputs(endpoint: "TaskEndpoint") -> bool:
    return any("inputs" in schema.body.model_fields for schema in endpoint.schemas)


def _sections(endpoint: "TaskEndpoint") -> dict[str, list[click.Option]]:
    """Return the options under headings. A parameter that only some models have stands under their kind of inputs."""
    from app.cli.parameters import parameter_options
    from app.schemas.shared.parsing import nested_models

    found: dict[str, ParameterOption] = {}
    kinds: dict[str, list[str]] = {}
    for schema in endpoint.schemas:
        parameters = nested_models(schema.body)["parameters"]
        modality = getattr(schema, "modality", "text")
        for each in parameter_options(parameters) if parameters else ():
            name = ".".join(each.path)
            found.setdefault(name, each)
            kinds.setdefault(name, []).append(modality)
    sections: dict[str, list[click.Option]] = {"Parameters": [], "Parameters for texts": [], "Parameters for items": []}
    for name, each in found.items():
        is_general = len(kinds[name]) == len(endpoint.schemas)
        sections["Parameters" if is_general else f"Parameters for {kinds[name][0]}s"].append(each.option)
    if _has_inputs(endpoint):
        sections["Inputs"] = _input_options(takes_texts="text" in endpoint.kinds)
    return sections | {"Answers": _output_options(), "Model and server": connection_options()}


def _input_options(*, takes_texts: bool) -> list[click.Option]:
    options = [
        click.Option(["--whole"], is_flag=True, help="Take each file as one item, instead of each line or row."),
        click.Option(["--from", "format"], type=click.Choice(get_args(Format)), help="Format of all files."),
        click.Option(["--field"], help="Column of CSV files, or member of JSON objects, that has the items."),
    ]
    text = click.Option(["--text", "texts"], multiple=True, help="A text itself, whatever it looks like.")
    return [*options, text] if takes_texts else options


def _output_options() -> list[click.Option]:
    return [
        click.Option(
            ["-o", "--output"],
            type=click.Path(path_type=Path),
            help="File to write to, ending in .json, .ndjson, .csv, .npy, .png, .wav or .flac; or a folder for a "
            "picture of each.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the answer as one JSON object."),
        click.Option(["--ndjson", "as_lines"], is_flag=True, help="Print each output as a line of JSON."),
    ]


def connection_options() -> list[click.Option]:
    """Return the options for the model and the server of a task."""
    return [
        click.Option(
            ["--model"],
            shell_complete=complete_models,
            help="Name of the model, else the default one; without --url also a folder, or ORG/NAME of the hub.",
        ),
        *server_options(),
        click.Option(["--timeout", "timeout_s"], type=float, help="Time limit of each request in seconds."),
    ]


def server_options() -> list[click.Option]:
    """Return the options for a running server."""
    url, key = CLIENT_VARIABLES
    return [
        click.Option(["--url"], envvar=url, help="Running server, as http://localhost:8000; if omitted, none is used."),
        click.Option(
            ["--key"], envvar=key, help=f"Key for the server; better given by {key}, which others cannot see."
        ),
    ]


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the item that lets the shell complete the name of a file."""
    return [CompletionItem(incomplete, type="file")]


def complete_models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the names of the checkpoints in the weights folder that begin like this."""
    from app.cli.options import read_settings
    from models.checkpoint import find_checkpoints

    names = (folder.name for folder in find_checkpoints(read_settings({}).weights_dir))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
