"""`manifold pull`."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click

from app.cli.convert import convert_folder, print_report
from app.cli.errors import INTERRUPTED, WrongUsage, sentence
from app.errors import ManifoldError
from models.errors import CheckpointError, ModelsError

STDERR = 2
"""File descriptor of standard error: a signal handler may not use the stream, which may be in the middle of a line."""


@click.command()
@click.argument("hub_id", metavar="ORG/NAME[@REVISION]")
@click.option("--subfolder", default="", metavar="FOLDER", help="Folder of the checkpoint, such as vae in a pipeline.")
@click.option("--convert", is_flag=True, help="Where there are only pickles, download and convert them to safetensors.")
def pull(hub_id: str, subfolder: str, convert: bool) -> None:
    """Download a checkpoint from the hub, to be served with --model.

    The variables HF_TOKEN, HF_ENDPOINT and HF_HOME of Hugging Face's own programs apply.
    """
    from app.cli.connection import model_name
    from app.conversion.convert import find_unsafe_weights
    from app.registry import hub
    from models.checkpoint import read_checkpoint

    try:
        source = hub.HubId.parse(hub_id)
        if subfolder and source.subfolder:
            raise WrongUsage([f"{hub_id} names the folder {source.subfolder} already; leave out --subfolder."])
        source = source.at(subfolder) if subfolder else source
    except CheckpointError as error:
        raise WrongUsage([sentence(error)]) from None
    try:
        with _exit_on_interrupt():
            snapshot = hub.pull(source, with_pickles=convert)
        folder = snapshot / source.subfolder
        if convert and find_unsafe_weights(folder):
            print_report(convert_folder(folder, force=False))
        checkpoint = read_checkpoint(folder, source.repository)
    except (ManifoldError, ModelsError) as error:
        raise click.ClickException(sentence(error)) from None
    place = f"{hub_id}:{subfolder}" if subfolder else hub_id
    click.echo(f"{source.repository} at {snapshot.name}: {checkpoint.spec.title}; {', '.join(checkpoint.task_names)}")
    click.echo(f"manifold serve --model {model_name(place)}={place}")


@contextmanager
def _exit_on_interrupt() -> Iterator[None]:
    """Exit at once at Ctrl-C.

    A KeyboardInterrupt would wait for the threads that download, which may take hours. Nothing is lost: the next pull
    goes on with the files that this one began.
    """

    def exit_now(signum: int, frame: object) -> None:
        os.write(STDERR, b"\nInterrupted; run the same command again to go on from here.\n")
        os._exit(INTERRUPTED)

    previous = signal.signal(signal.SIGINT, exit_now)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
