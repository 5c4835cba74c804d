"""`manifold serve`.

Modules that take seconds to import are imported when the command runs, so that Ctrl-C during the import ends the
command as it does at any other time.
"""

from functools import partial
from typing import Any

import click
from typing_extensions import override

from app.cli.errors import WrongUsage, sentence
from app.errors import InvalidRequest, ManifoldError
from app.process.hangups import Hangups
from models.errors import ModelsError

HELP_WIDTH = 30
"""Width of the column of options in the help: that of the longest, and the most that click allows."""


class ServeCommand(click.Command):
    """A command whose options are the settings, under headings."""

    @override
    def make_context(self, *args: Any, **named: Any) -> click.Context:
        hangups = Hangups()
        hangups.install()  # before the imports, so that SIGHUP ends the process at no moment
        context = super().make_context(*args, **named)
        context.obj = hangups
        return context

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
@click.pass_obj
def serve(hangups: Hangups, /, **values: Any) -> None:
    """Serve the models over HTTP.

    Each option is also an environment variable and a key of the file that --config names: --max-items is
    MANIFOLD_MAX_ITEMS and max_items. The option wins, then the variable. Options that take several values separated by
    commas may be repeated instead.
    """
    from app.cli.options import label_of, read_settings, unknown_variables
    from app.cli.settings_checks import check_device, check_settings
    from app.process.serve import serve as run_server
    from app.settings import Settings

    options = {name: value for name, value in values.items() if value not in (None, ())}
    label = partial(label_of, options=options)
    for warning in unknown_variables():
        click.echo(f"Warning: {warning}", err=True)

    def read() -> Settings:
        settings = read_settings(options, label)
        check_settings(settings, label)
        return settings

    def read_again() -> Settings:
        try:
            return read()
        except WrongUsage as error:
            raise InvalidRequest(" ".join(error.problems)) from None

    try:
        settings = read()
        if (problem := check_device(settings, label)) is not None:
            raise click.ClickException(problem)
        run_server(settings, read_again=read_again, hangups=hangups)
    except (ManifoldError, ModelsError) as error:
        raise click.ClickException(sentence(error)) from None
    except KeyboardInterrupt:  # before the server runs
        pass
