"""The command `manifold`. Its subcommands are in this package, and in those beside and above `app`."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points

import click
from click.shell_completion import CompletionItem
from typing_extensions import override

from app.cli.check import check
from app.cli.completion import completion
from app.cli.convert import convert
from app.cli.errors import INTERRUPTED, did_you_mean
from app.cli.keys import keys
from app.cli.metrics import metrics
from app.cli.models import models
from app.cli.pull import pull
from app.cli.serve import serve
from app.cli.tasks import find_tasks, task_command
from app.process.allocator import keep_freed_memory

__all__ = ["Commands", "check", "completion", "convert", "keys", "main", "metrics", "models", "pull", "serve"]

ENTRY_POINTS = "manifold.commands"
HEADINGS = ("Server and models", "Tasks", "Training and measuring")
"""Headings of the help: for the commands of this package, for the tasks, and for the commands of other packages."""


class Commands(click.Group):
    """The subcommands: the entry points of the group `manifold.commands`, and the tasks of `app.schemas`.

    Each is imported only when it is needed.
    """

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_entry_points(), *find_tasks()})

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = _entry_points().get(cmd_name)
        if found is None:
            return task_command(cmd_name) if cmd_name in find_tasks() else None
        try:
            command: click.Command = found.load()
        except ModuleNotFoundError as error:
            return _unavailable(cmd_name, f"needs the package {error.name}, which is not installed")
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-"):
            ctx.fail(f"There is no command {name!r}.{did_you_mean(name, known)} `manifold --help` lists the commands.")
        return super().resolve_command(ctx, args)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {heading: [] for heading in HEADINGS}
        for name, entry in sorted(_entry_points().items()):
            is_ours = entry.value.startswith(f"{__name__}:")
            sections[HEADINGS[0] if is_ours else HEADINGS[2]].append((name, self._short_help(ctx, name)))
        sections[HEADINGS[1]] = [(name, f"{task.summary}.") for name, task in sorted(find_tasks().items())]
        width = max(map(len, self.list_commands(ctx)))
        for heading, rows in sections.items():
            if rows:
                with formatter.section(heading):
                    formatter.write_dl([(name.ljust(width), text) for name, text in rows])

    @override
    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of commands without importing those that they name."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        tasks = find_tasks()
        summaries = {name: tasks[name].summary if name in tasks else None for name in self.list_commands(ctx)}
        return [CompletionItem(name, help=text) for name, text in summaries.items() if name.startswith(incomplete)]

    def _short_help(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str(80) if command else ""

    @override
    def make_context(self, *args: object, **named: object) -> click.Context:
        with _interruptible():
            return super().make_context(*args, **named)  # type: ignore[arg-type]

    @override
    def invoke(self, ctx: click.Context) -> object:
        with _interruptible():
            return super().invoke(ctx)


@contextmanager
def _interruptible() -> Iterator[None]:
    """End the program at Ctrl-C with the exit code that shells expect, and without a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\nInterrupted.", err=True)  # on a new line, because terminals print ^C
        raise click.exceptions.Exit(INTERRUPTED) from None


def _entry_points() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def _unavailable(name: str, reason: str) -> click.Command:
    """Return a command that accepts any arguments and says why it cannot run."""

    def refuse() -> None:
        raise click.ClickException(
            f"`manifold {name}` {reason}. `pip install 'manifold[train,test]'` installs all that such commands need."
        )

    any_arguments = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=refuse, context_settings=any_arguments, help=f"(Not installed: it {reason}.)")


@click.group(cls=Commands)
@click.version_option(package_name="manifold")
def main() -> None:
    """One server for representation models: autoencoders and Transformers."""
    keep_freed_memory()  # for all commands, because training and benchmarks run models as well
