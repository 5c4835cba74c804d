"""The vanilla autoencoder: fully connected layers with a bottleneck."""

from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoders.vanilla.model import VanillaAutoencoder
from models.autoencoding.tasks import AUTOENCODER_TASKS
from models.family import FamilySpec

FAMILY = FamilySpec(
    id="autoencoders/vanilla",
    title="Vanilla autoencoder",
    paper="Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science 313, 2006",
    config=VanillaConfig,
    build=VanillaAutoencoder,
    tasks=lambda config: AUTOENCODER_TASKS,
    tiny=(
        VanillaConfig(input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=3),
        VanillaConfig(input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=3, output="linear"),
    ),
)
