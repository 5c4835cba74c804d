"""`manifold serve`.

Modules that take seconds to import are imported when the command runs, so that Ctrl-C during the import ends the
command as it does at any other time.
"""

import errno
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

from app.cli.errors import sentence
from app.errors import ManifoldError
from models.errors import ModelsError

if TYPE_CHECKING:
    from app.settings import Settings

FIRST_UNPRIVILEGED_PORT = 1024
HELP_WIDTH = 30
"""Width of the column of options in the help: that of the longest, and the most that click allows."""


class ServeCommand(click.Command):
    """A command whose options are the settings, under headings."""

    @override
    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from app.cli.options import options_by_heading

        groups = options_by_heading().values()
        return [*(option for options in groups for option in options), *super().get_params(ctx)]

    @override
    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from app.cli.options import options_by_heading

        help_option = self.get_help_option(ctx)
        groups = options_by_heading() | {"Other options": [help_option] if help_option else []}
        for heading, options in groups.items():
            records = [option.get_help_record(ctx) for option in options]
            with formatter.section(heading):  # all with the same width, so that the sections form one table
                formatter.write_dl([(record[0].ljust(HELP_WIDTH), record[1]) for record in records if record])


@click.command(cls=ServeCommand)
def serve(**values: Any) -> None:
    """Serve the models over HTTP.

    Each option is also an environment variable: --max-items is MANIFOLD_MAX_ITEMS. The option wins. Options that take
    several values separated by commas may be repeated instead.
    """
    from app.cli.checks import check_device, check_settings
    from app.cli.options import label_of, read_settings, unknown_variables

    options = {name: value for name, value in values.items() if value not in (None, ())}
    label = partial(label_of, options=options)
    for warning in unknown_variables():
        click.echo(f"Warning: {warning}", err=True)
    settings = read_settings(options, label)
    try:
        check_settings(settings, label)
        if (problem := check_device(settings, label)) is not None:
            raise click.ClickException(problem)
        _run(settings)
    except (ManifoldError, ModelsError) as error:
        raise click.ClickException(sentence(error)) from None


def _run(settings: "Settings") -> None:
    """Serve until a signal ends the server. Ctrl-C is not an error."""
    from app.process.serve import serve as run_server

    try:
        _bind_once(settings.host, settings.port)
        run_server(settings)
    except KeyboardInterrupt:
        pass
    except OSError as error:
        raise click.ClickException(_why_not_listening(settings, error)) from error


def _bind_once(host: str, port: int) -> None:
    """Bind the port and release it, so that a wrong address is reported before anything is loaded.

    Raises:
        OSError: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except UnicodeError as error:  # a label of the name is empty or too long
            raise socket.gaierror(socket.EAI_NONAME, str(error)) from None


def _why_not_listening(settings: "Settings", error: OSError) -> str:
    host, port = settings.host, settings.port
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is in use by another program. Stop it, or choose another port with --port."
    if error.errno == errno.EACCES and port < FIRST_UNPRIVILEGED_PORT:
        return (
            f"Port {port} of {host} may not be used without administrator rights. "
            f"Choose one of {FIRST_UNPRIVILEGED_PORT} or more with --port."
        )
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return (
            f"This machine has no address {host} to listen on. "
            "Choose 127.0.0.1 with --host for this machine only, or 0.0.0.0 for all its network interfaces."
        )
    return f"The server cannot run on port {port} of {host}: {error.strerror or error}."
