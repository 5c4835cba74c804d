"""A checkpoint of rows of a table with random weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.autoencoders.vanilla import FAMILY
from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoding.drift import DriftReference
from models.checkpoint import write_checkpoint
from models.codecs.table import TableCodec, describe_table_codec
from models.codecs.table.columns import BooleanColumn, NumberColumn
from models.codecs.table.histograms import histograms_of
from training.calibrate import calibrate

ROWS = "tiny-rows"
CODEC = TableCodec((NumberColumn("flow", False, centre=0.5, scale=1.0), BooleanColumn("open", True)))


def write_rows(root: Path) -> None:
    """Write a vanilla autoencoder of rows of `CODEC`."""
    torch.manual_seed(0)
    config = VanillaConfig(input_shape=CODEC.shape, hidden_widths=(4,), latent_width=2)
    model: Any = FAMILY.new_model(config).eval()
    items = list(torch.rand(30, 3))
    found = histograms_of(CODEC, torch.stack(items).double().numpy())
    drift = DriftReference(edges=torch.from_numpy(found.edges), shares=torch.from_numpy(found.shares))
    calibration = calibrate(model, items, [(model, items)], percentile=99.0, n_components=2)
    write_checkpoint(
        root / FAMILY.id / ROWS,
        model,
        replace(calibration, drift=drift),
        family_id=FAMILY.id,
        config=config,
        codec=describe_table_codec(CODEC),
        licence="Apache-2.0",
        dtype=torch.float32,
    )
