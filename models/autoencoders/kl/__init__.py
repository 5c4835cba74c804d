"""The autoencoder of latent diffusion models: Stable Diffusion, SDXL, FLUX and others."""

from models.autoencoders.kl.checkpoint import PUBLISHED
from models.autoencoders.kl.config import KlConfig
from models.autoencoders.kl.model import KlAutoencoder
from models.autoencoders.kl.tasks import encode, reconstruct
from models.autoencoding.picture_tasks import PICTURE_TASKS, by_size
from models.family import FamilySpec
from models.tasks import ENCODE, RECONSTRUCT

FAMILY = FamilySpec(
    id="autoencoders/kl",
    title="Autoencoder of latent diffusion",
    paper="Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models, CVPR 2022",
    config=KlConfig,
    build=KlAutoencoder,
    tasks=lambda config: PICTURE_TASKS | {ENCODE: by_size(encode), RECONSTRUCT: by_size(reconstruct)},
    tiny=(
        KlConfig(widths=(4, 6), n_groups=2, latents_mean=(0.5, 0.0, 1.0, -1.0), latents_std=(1.0, 2.0, 1.0, 1.5)),
        KlConfig(
            n_channels=1,
            n_latent_channels=3,
            widths=(3, 3, 6),
            n_layers=2,
            n_groups=3,
            activation="gelu",
            has_attention=False,
            has_quant_conv=False,
            has_post_quant_conv=False,
            shift_factor=0.1159,
        ),
    ),
    published=PUBLISHED,
)
