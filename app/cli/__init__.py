"""The command `manifold`. Its subcommands are in this package, and in those beside and above `app`."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points

import click
from typing_extensions import override

from app.cli.check import check
from app.cli.convert import convert
from app.cli.errors import INTERRUPTED, did_you_mean, in_words
from app.cli.models import models
from app.cli.pull import pull
from app.cli.serve import serve
from app.process.allocator import keep_freed_memory

__all__ = ["Commands", "check", "convert", "main", "models", "pull", "serve"]

ENTRY_POINTS = "manifold.commands"


class Commands(click.Group):
    """The subcommands: the entry points of the group `manifold.commands`, each imported only when it is needed."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(entry.name for entry in entry_points(group=ENTRY_POINTS))

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = next(iter(entry_points(group=ENTRY_POINTS, name=cmd_name)), None)
        if found is None:
            return None
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
            ctx.fail(f"There is no command {name!r}.{did_you_mean(name, known)} There are {in_words(known, 'and')}.")
        return super().resolve_command(ctx, args)

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
