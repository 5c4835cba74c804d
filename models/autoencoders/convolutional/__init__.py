"""The convolutional autoencoder: strided convolutions in the encoder, transposed ones in the decoder."""

from models.autoencoders.convolutional.config import ConvolutionalConfig
from models.autoencoders.convolutional.model import ConvolutionalAutoencoder
from models.autoencoding.tasks import AUTOENCODER_TASKS
from models.family import FamilySpec

FAMILY = FamilySpec(
    id="autoencoders/convolutional",
    title="Convolutional autoencoder",
    paper="Masci, Meier, Ciresan, Schmidhuber, Stacked Convolutional Auto-Encoders, ICANN 2011",
    config=ConvolutionalConfig,
    build=ConvolutionalAutoencoder,
    tasks=lambda config: AUTOENCODER_TASKS,
    tiny=(
        ConvolutionalConfig(input_shape=(1, 5, 5), channels=(3, 4), latent_width=3, hidden_width=8),
        ConvolutionalConfig(input_shape=(3, 6, 6), channels=(4,), n_blocks=1, latent_channels=2),
    ),
)
