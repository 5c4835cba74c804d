"""EnCodec: sounds of any length as indices of codebooks, at a bandwidth that the caller chooses."""

from typing import Any

from models.autoencoders.encodec.checkpoint import PUBLISHED
from models.autoencoders.encodec.config import EncodecConfig
from models.autoencoders.encodec.model import Encodec
from models.autoencoders.encodec.tasks import SOUND_CLASSIFICATION, SOUND_TASKS
from models.family import FamilySpec

_TINY: dict[str, Any] = {
    "sampling_rate": 80,
    "latent_width": 6,
    "n_filters": 4,
    "n_residual_layers": 1,
    "ratios": (4, 2),
    "kernel_size": 7,
    "last_kernel_size": 7,
    "residual_kernel_size": 3,
    "dilation_growth": 2,
    "padding": "reflect",
    "compress": 2,
    "n_lstm_layers": 2,
    "trim_right_ratio": 1.0,
    "codebook_size": 16,
    "bandwidths": (0.08, 0.16),
}

FAMILY = FamilySpec(
    id="autoencoders/encodec",
    title="EnCodec",
    paper="Défossez, Copet, Synnaeve, Adi, High Fidelity Neural Audio Compression, 2022",
    config=EncodecConfig,
    build=Encodec,
    tasks=lambda config: SOUND_TASKS | (SOUND_CLASSIFICATION if config.labels else {}),
    tiny=(
        EncodecConfig(
            **_TINY,
            n_channels=1,
            normalize=False,
            chunk_s=0.0,
            overlap=0.0,
            norm="weight_norm",
            causal=True,
            conv_shortcut=True,
            labels=("a", "b", "c"),
            classifier_widths=(5,),
            classifier_kernel=3,
        ),
        EncodecConfig(
            **_TINY,
            n_channels=2,
            normalize=True,
            chunk_s=1.0,
            overlap=0.1,
            norm="time_group_norm",
            causal=False,
            conv_shortcut=False,
        ),
    ),
    modality="audio",
    published=PUBLISHED,
)
