"""Made-up recordings of digits, and tiny models of them."""

from pathlib import Path
from typing import cast

import torch

from models.autoencoders.encodec import FAMILY
from models.autoencoders.encodec.config import EncodecConfig
from models.autoencoders.encodec.model import Encodec
from training.data.files import DataFolder
from training.data.fsdd import DIGITS, Fsdd, SpokenDigits
from training.recipe import Resources
from training.sounds.initialisation import initialise_networks

RESOURCES = Resources(DataFolder(Path("nowhere"), download=False), Path("nowhere"))
CONFIG = EncodecConfig(
    sampling_rate=8000,
    n_channels=1,
    bandwidths=(1.0, 2.0, 3.0),
    normalize=False,
    chunk_s=0.0,
    overlap=0.0,
    latent_width=4,
    n_filters=2,
    n_residual_layers=1,
    ratios=(8, 8),
    norm="weight_norm",
    kernel_size=3,
    last_kernel_size=3,
    residual_kernel_size=3,
    dilation_growth=2,
    causal=False,
    padding="reflect",
    compress=2,
    n_lstm_layers=1,
    trim_right_ratio=1.0,
    codebook_size=16,
    conv_shortcut=True,
    labels=DIGITS,
    classifier_widths=(8,),
    classifier_kernel=3,
)
"""125 frames a second, of 64 samples each; codebooks of 500 bit/s, of which 2, 4 and 6 are used."""


def recordings(n_takes: int, first_take: int = 0) -> SpokenDigits:
    """Return tones whose pitch tells the digit, by one speaker, each between a tenth and a fifth of a second long."""
    draw = torch.Generator().manual_seed(first_take)
    sounds, digits, takes = [], [], []
    for digit in range(len(DIGITS)):
        for take in range(first_take, first_take + n_takes):
            length = int(torch.randint(800, 1600, (1,), generator=draw))
            tone = torch.sin(2 * torch.pi * 200 * (1 + digit) / 8000 * torch.arange(length))
            sounds.append((0.3 * tone + 0.01 * torch.randn(length, generator=draw))[None])
            digits.append(digit)
            takes.append(take)
    return SpokenDigits(tuple(sounds), torch.tensor(digits), torch.zeros(len(digits)).long(), torch.tensor(takes))


def split() -> Fsdd:
    """Return four recordings of each digit for training, two of which recipes hold out, and one for tests."""
    return Fsdd(train=recordings(4, first_take=43), test=recordings(1))


def model() -> Encodec:
    """Return a tiny model with the initial weights of recipes, always the same."""
    torch.manual_seed(0)
    made = cast("Encodec", FAMILY.new_model(CONFIG))
    initialise_networks(made)
    return made
