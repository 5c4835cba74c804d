"""The command `manifold import-onnx`.

Modules that take seconds to import are imported when the command runs.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from training.fit.command_options import checkpoint_options, false_alarms_option
from training.fit.options import LICENCE

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("import-onnx")
@click.argument("encoder", type=FILE)
@click.argument("decoder", type=FILE, required=False)
@click.option(
    "--calibrate", "sample", type=FILE, required=True, help="NumPy file of normal items that were not trained on."
)
@click.option(
    "--as",
    "modality",
    type=click.Choice(("image", "vector")),
    help="What items are. Default: image if they have 1 or 3 channels, a height and a width, and numbers from 0 to 1.",
)
@false_alarms_option("items")
@click.option("--licence", default=LICENCE, show_default=True, help="Licence of the weights.")
@checkpoint_options
def import_onnx(encoder: Path, decoder: Path | None, sample: Path, as_json: bool, **options: Any) -> None:
    """Make a checkpoint of an encoder and a decoder of your own.

    ENCODER and DECODER are ONNX files, which many frameworks export. Each has one input and one output in float32, and
    takes batches of any size; the decoder maps what the encoder makes back to items. The sample is a .npy or .npz file
    of the shape [items, ...]. The checkpoint is written to a folder of its own in ./checkpoints, where `manifold serve`
    finds it.

    \b
    Keys of the JSON output:
      folder               where the checkpoint is
      modality             image or vector
      item_shape, latent_shape
                           the shapes that the graphs have
      n_weights            number of weights in both graphs
      n_items              number of items in the sample
      mse                  mean squared error of their reconstructions
      false_alarm_rate     share of normal items that may be called anomalies
      threshold            the mean squared error above which an item is one
    """
    from training.errors import TrainingError
    from training.fit.onnx_import import ImportOptions
    from training.fit.onnx_import import import_onnx as import_graphs

    if decoder is None:
        raise click.UsageError("Give the decoder as well: without it, items can be neither reconstructed nor scored.")
    try:
        found = import_graphs(encoder, decoder, sample, ImportOptions(**options))
    except TrainingError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(asdict(found) | {"folder": str(found.folder)}, indent=2))
        return
    kind = "pictures" if found.modality == "image" else "numbers"
    other = "; --as vector serves them as numbers" if found.modality == "image" else ""
    click.echo(
        f"{found.n_items} items of the shape {list(found.item_shape)}, served as {kind}{other}; "
        f"latents of the shape {list(found.latent_shape)}\n"
        f"the mean squared error is {found.mse:.4g}; the threshold is {found.threshold:.4g}, which at most "
        f"{found.false_alarm_rate:.3g} of normal items exceed\n"
        f"wrote {found.folder}; `manifold serve` serves it"
    )
