"""`manifold pull`."""

import click

from app.cli.errors import Interrupted, WrongUsage, sentence
from app.errors import ManifoldError
from models.errors import CheckpointError, ModelsError


@click.command()
@click.argument("hub_id", metavar="ORG/NAME[@REVISION]")
def pull(hub_id: str) -> None:
    """Download a checkpoint from the hub, to be served with --model.

    The variables HF_TOKEN, HF_ENDPOINT and HF_HOME of Hugging Face's own programs apply.
    """
    from app.registry import hub
    from models.checkpoint import read_checkpoint

    try:
        place = hub.HubId.parse(hub_id)
    except CheckpointError as error:
        raise WrongUsage([sentence(error)]) from None
    try:
        folder = hub.pull(place)
        checkpoint = read_checkpoint(folder, place.repository)
    except (ManifoldError, ModelsError) as error:
        raise click.ClickException(sentence(error)) from None
    except KeyboardInterrupt:
        raise Interrupted("Interrupted; the same command goes on where it was.") from None
    name = place.repository.partition("/")[2]
    click.echo(f"{place.repository} at {folder.name}: {checkpoint.spec.title}; {', '.join(checkpoint.task_names)}")
    click.echo(f"manifold serve --model {name}={hub_id}")
