"""Make a checkpoint of an encoder and a decoder that were trained elsewhere and exported to ONNX."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor

from models.autoencoders.onnx import FAMILY
from models.autoencoders.onnx.config import OnnxConfig
from models.autoencoders.onnx.model import OnnxAutoencoder, shapes_of
from models.autoencoding.calibration import CONFIDENCE
from models.checkpoint import write_checkpoint, write_metrics
from models.codecs import ImageCodec
from models.errors import ModelsError
from models.family import MAX_BYTES
from models.regular_files import read_file
from training.calibrate import calibrate, promised_percentile
from training.card import CARD_FILE
from training.errors import DataError
from training.fit.arrays import choose_codec, items_of, read_items
from training.fit.folder import new_folder, replaced
from training.metrics import anomaly_scores, latents

Modality = Literal["image", "vector"]
MIN_ITEMS = 20
"""Least number of items of a sample, so that the deviations of latents say something."""
N_COMPONENTS = 10
"""Most Gaussians of the mixture from which latents are drawn."""


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """How two graphs become a checkpoint; see the options of `manifold import-onnx`."""

    name: str
    licence: str
    output: Path
    modality: Modality | None = None
    false_alarm_rate: float = 0.01
    replace: bool = False


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What was imported; see the JSON output of `manifold import-onnx`."""

    folder: Path
    modality: Modality
    item_shape: Sequence[int]
    latent_shape: Sequence[int]
    n_weights: int
    n_items: int
    mse: float
    false_alarm_rate: float
    threshold: float


def import_onnx(encoder: Path, decoder: Path, sample: Path, options: ImportOptions) -> Imported:
    """Write the checkpoint of two ONNX files, calibrated on a sample, to a folder of its own.

    Args:
        encoder: the ONNX file that maps items to latents.
        decoder: the one that maps latents to items.
        sample: a NumPy file of normal items `[N, ...]` that the networks were not trained on.
        options: the options.

    Raises:
        DataError: a file cannot be read or does not fit to the others, the sample is too small, the networks make NaN
            or infinity of it, or the checkpoint's folder exists.
    """
    folder = new_folder(options.output, options.name, replace=options.replace)
    model, config = _build(encoder, decoder)
    array = read_items(sample, model.input_shape)
    if len(array) < MIN_ITEMS:
        raise DataError(f"{sample} has {len(array)} items; {MIN_ITEMS} are the least")
    as_image = None if options.modality is None else options.modality == "image"
    codec = choose_codec(array, as_image=as_image)
    model.value_range, model.stored_bits = codec.value_range, codec.stored_bits
    items = items_of(array, codec, sample)
    percentile = promised_percentile(options.false_alarm_rate, len(items))
    _check_outputs(model, items, encoder, decoder)
    model.calibration = calibrate(model, items, [(model, items)], percentile=percentile, n_components=N_COMPONENTS)
    score = model.scores[0]
    imported = Imported(
        folder=folder,
        modality="image" if isinstance(codec, ImageCodec) else "vector",
        item_shape=model.input_shape,
        latent_shape=model.latent_shape,
        n_weights=model.n_parameters,
        n_items=len(items),
        mse=float(model.calibration.scores["mse"].double().mean()),
        false_alarm_rate=options.false_alarm_rate,
        threshold=model.calibration.threshold(score, percentile),
    )
    _write(imported, model, config, options.licence, _card(imported, options.name, encoder, decoder, sample))
    return imported


def _build(encoder: Path, decoder: Path) -> tuple[OnnxAutoencoder, OnnxConfig]:
    """Return the model of two ONNX files, and its hyperparameters.

    Raises:
        DataError: a file is no graph of this kind, or the two do not fit to each other.
    """
    contents = {"encoder.content": _read(encoder), "decoder.content": _read(decoder)}
    try:
        input_shape, latent_shape = shapes_of(contents["encoder.content"])
        config = OnnxConfig(
            input_shape=input_shape,
            latent_shape=latent_shape,
            encoder_bytes=len(contents["encoder.content"]),
            decoder_bytes=len(contents["decoder.content"]),
        )
    except ModelsError as error:
        raise DataError(f"{encoder}: {error}") from error
    model = cast("OnnxAutoencoder", FAMILY.new_model(config).eval())
    model.load_state_dict(contents)
    try:
        model.finish_loading()
    except ModelsError as error:
        raise DataError(f"{decoder}: {error}") from error
    return model, config


def _read(path: Path) -> Tensor:
    """Return the content of a file, `[n_bytes]` in uint8.

    Raises:
        DataError: the file cannot be read, is empty, or is longer than `MAX_BYTES`.
    """
    try:
        content = read_file(path, str(path), max_bytes=MAX_BYTES)
    except ModelsError as error:
        raise DataError(str(error)) from error
    if not content:
        raise DataError(f"{path} is empty")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _check_outputs(model: OnnxAutoencoder, items: Sequence[Tensor], encoder: Path, decoder: Path) -> None:
    """Check that what the networks make of the items is finite.

    Raises:
        DataError: a number is NaN or infinity; the error names the network and the first such item.
    """
    flat_latents = latents(model, items).flatten(1)
    errors = anomaly_scores(model, items, "mse")
    for path, is_finite in ((encoder, flat_latents.isfinite().all(1)), (decoder, errors.isfinite())):
        if not is_finite.all():
            raise DataError(f"{path} makes NaN or infinity of item {int(is_finite.int().argmin())} of the sample")


def _write(imported: Imported, model: OnnxAutoencoder, config: OnnxConfig, licence: str, card: str) -> None:
    with replaced(imported.folder) as unfinished:
        write_checkpoint(
            unfinished,
            model,
            model.calibration,
            family_id=FAMILY.id,
            config=config,
            codec={"modality": imported.modality, "shape": list(imported.item_shape)},
            licence=licence,
            dtype=torch.float32,
        )
        write_metrics(unfinished, {"sample_mse": imported.mse})
        (unfinished / CARD_FILE).write_text(card, encoding="utf-8")


def _card(imported: Imported, name: str, encoder: Path, decoder: Path, sample: Path) -> str:
    """Return the model card in Markdown."""
    rate = f"{imported.false_alarm_rate:.3g}"
    return f"""# {name}

An encoder and a decoder that were trained elsewhere, imported from `{encoder.name}` and `{decoder.name}`. ONNX Runtime
computes them.

| | |
|---|---|
| an item | {"a picture" if imported.modality == "image" else "numbers"} of the shape {list(imported.item_shape)} |
| a latent | numbers of the shape {list(imported.latent_shape)} |
| weights | {imported.n_weights:,} |
| mean squared error of the sample | {imported.mse:.6g} |

## Threshold

Mean squared errors above {imported.threshold:.4g} are called anomalies: at most {rate} of items like those of
`{sample.name}`, with a probability of {CONFIDENCE:.0%} if there are enough to say so. It comes from the errors of the
{imported.n_items} items in that file. The promise holds if the networks were not trained on these.

## Try it

```
manifold serve
manifold detect-anomalies {sample.name} --model {name}
```
"""
