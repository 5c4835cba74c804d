"""The variational autoencoder: the encoder gives a distribution of latents, and there is a prior to sample from."""

from models.autoencoders.variational.config import VariationalConfig
from models.autoencoders.variational.model import VariationalAutoencoder
from models.autoencoders.variational.tasks import encode, reconstruct
from models.autoencoding.tasks import AUTOENCODER_TASKS, CLASSIFICATION
from models.family import FamilySpec
from models.tasks import ENCODE, RECONSTRUCT

FAMILY = FamilySpec(
    id="autoencoders/variational",
    title="Variational autoencoder",
    paper="Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014",
    config=VariationalConfig,
    build=VariationalAutoencoder,
    tasks=lambda config: (
        AUTOENCODER_TASKS | {ENCODE: encode, RECONSTRUCT: reconstruct} | (CLASSIFICATION if config.labels else {})
    ),
    tiny=(
        VariationalConfig(input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=3),
        VariationalConfig(input_shape=(1, 4, 4), hidden_widths=(8, 6), latent_width=3, labels=("a", "b")),
        VariationalConfig(input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=2, likelihood="gaussian"),
    ),
)
