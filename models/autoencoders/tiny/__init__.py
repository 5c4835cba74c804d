"""The tiny autoencoder of TAESD and its successors: pictures of any size as the latents of diffusion models."""

from models.autoencoders.tiny.checkpoint import PUBLISHED
from models.autoencoders.tiny.config import TinyConfig
from models.autoencoders.tiny.model import TinyAutoencoder
from models.autoencoding.picture_tasks import PICTURE_TASKS
from models.family import FamilySpec

FAMILY = FamilySpec(
    id="autoencoders/tiny",
    title="Tiny autoencoder",
    paper="O. Boer Bohan, TAESD: Tiny AutoEncoder for Stable Diffusion, 2023",
    config=TinyConfig,
    build=TinyAutoencoder,
    tasks=lambda config: PICTURE_TASKS,
    tiny=(
        TinyConfig(encoder_width=6, decoder_width=4, n_encoder_blocks=(1, 0, 2), n_decoder_blocks=(2, 1, 1)),
        TinyConfig(
            n_channels=1,
            n_latent_channels=5,
            encoder_width=3,
            decoder_width=3,
            n_encoder_blocks=(1, 1),
            n_decoder_blocks=(0, 1),
            activation="silu",
        ),
    ),
    published=PUBLISHED,
)
