"""The recurrent autoencoder: series of any length as latents of one width."""

from models.autoencoders.recurrent.config import RecurrentConfig
from models.autoencoders.recurrent.model import RecurrentAutoencoder
from models.autoencoding.tasks import AUTOENCODER_TASKS
from models.family import FamilySpec

FAMILY = FamilySpec(
    id="autoencoders/recurrent",
    title="Recurrent autoencoder",
    paper="Srivastava, Mansimov, Salakhutdinov, Unsupervised Learning of Video Representations using LSTMs, ICML 2015",
    config=RecurrentConfig,
    build=RecurrentAutoencoder,
    tasks=lambda config: AUTOENCODER_TASKS,
    tiny=tuple(
        RecurrentConfig(
            cell=cell, n_channels=n_channels, length=7, max_length=12, hidden_width=5, n_layers=2, latent_width=3
        )
        for cell, n_channels in (("lstm", 1), ("gru", 2))
    ),
    modality="series",
)
