"""Define `manifold bench`, whose subcommands are the benchmarks; each is imported only when it is called."""

import signal
from importlib import import_module

import click
from typing_extensions import override

COMMANDS = {
    "reconstruct": (
        "benchmarks.server.reconstruct:reconstruct",
        "Compare /reconstruct with a naive FastAPI handler.",
    ),
    "serving": ("benchmarks.server.serving:serving", "Compare /encode with LitServe and infinity."),
    "costs": ("benchmarks.server.costs:costs", "Measure the time to start, and the processor time of a request."),
    "overload": ("benchmarks.server.overload:overload", "Send ten times as many requests as the server can answer."),
    "fairness": (
        "benchmarks.server.fairness:fairness",
        "Measure a small request beside requests for much work on the same model.",
    ),
    "soak": ("benchmarks.server.soak.command:soak", "Send 200,000 mixed requests; fail if one is lost."),
    "hostile": (
        "benchmarks.server.hostile.command:hostile",
        "Attack servers of limited memory; fail if other clients suffer.",
    ),
    "fuzz": (
        "benchmarks.server.fuzz.command:fuzz",
        "Send 20,000 generated requests; fail if one is answered by a 5xx.",
    ),
    "compare": (
        "benchmarks.server.compare.command:compare_command",
        "Compare the speed of two source trees, in interleaved pairs of short bursts.",
    ),
    "answers": ("benchmarks.server.answers:answers", "Compare the answers of two source trees, value for value."),
    "engines": ("benchmarks.engines.command:engines", "Compare text embeddings or generation with other engines."),
    "gpu": ("benchmarks.engines.gpu:gpu", "Compare with Transformers on a GPU."),
    "products": ("benchmarks.engines.products:products", "Measure products of matrices, as the layers do them."),
    "precision": (
        "benchmarks.engines.precision:precision",
        "Measure what a sentence encoder loses in int8.",
    ),
    "encoders": (
        "benchmarks.engines.encoders:encoders",
        "Compare the speed of encoders of one shape in different families.",
    ),
    "published": (
        "benchmarks.engines.published:published",
        "Compare published autoencoders of pictures with diffusers.",
    ),
    "rows": ("benchmarks.server.rows:rows", "Measure what a row of a table costs, and the memory of a long file."),
    "pictures": ("benchmarks.detection.pictures:pictures", "Measure how well fitted pictures find small faults."),
    "series": ("benchmarks.detection.series:series", "Measure how well fitted series find labelled windows."),
    "tables": ("benchmarks.detection.tables:tables", "Measure how well fitted tables find anomalies."),
    "codecs": (
        "benchmarks.sounds.codecs:codecs",
        "Compare the codec of spoken digits with Codec2 and Opus.",
    ),
    "drawings": (
        "benchmarks.server.drawings:drawings",
        "Draw digits on the page, and measure how they are classified and how soon.",
    ),
    "profiles": ("benchmarks.engines.profiles:profiles", "Show which operators take a model's time."),
}
"""By name: where the command is, and what it does."""


class Benchmarks(click.Group):
    """The group of all benchmarks. Listing them imports none, because some import torch."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise click.ClickException(f"`manifold bench {cmd_name}` needs the package {error.name}") from error
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Benchmarks"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])


@click.group(cls=Benchmarks, invoke_without_command=True)
@click.pass_context
def bench(context: click.Context) -> None:
    """Measure speed, memory and behaviour under load.

    Ratios between columns of one run are what to keep: absolute figures drift with the machine.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers which were started are ended
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
