"""The denoising autoencoder: trained to restore items from corrupted ones."""

from models.autoencoders.denoising.config import DenoisingConfig
from models.autoencoders.denoising.model import DenoisingAutoencoder
from models.autoencoding.tasks import AUTOENCODER_TASKS, CLASSIFICATION
from models.family import FamilySpec

FAMILY = FamilySpec(
    id="autoencoders/denoising",
    title="Denoising autoencoder",
    paper="Vincent et al., Extracting and Composing Robust Features with Denoising Autoencoders, ICML 2008",
    config=DenoisingConfig,
    build=DenoisingAutoencoder,
    tasks=lambda config: AUTOENCODER_TASKS | (CLASSIFICATION if config.labels else {}),
    tiny=(
        DenoisingConfig(input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=6),
        DenoisingConfig(input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=6, labels=("a", "b", "c")),
        DenoisingConfig(input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=6, output="linear"),
    ),
)
