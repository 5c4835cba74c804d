"""The adversarial autoencoder: a discriminator makes its latents look like draws from the prior."""

from models.autoencoders.adversarial.config import AdversarialConfig
from models.autoencoders.adversarial.model import AdversarialAutoencoder
from models.autoencoders.adversarial.tasks import encode
from models.autoencoding.tasks import AUTOENCODER_TASKS, CLASSIFICATION
from models.family import FamilySpec
from models.tasks import ENCODE

FAMILY = FamilySpec(
    id="autoencoders/adversarial",
    title="Adversarial autoencoder",
    paper="Makhzani, Shlens, Jaitly, Goodfellow, Frey, Adversarial Autoencoders, arXiv:1511.05644, 2015",
    config=AdversarialConfig,
    build=AdversarialAutoencoder,
    tasks=lambda config: AUTOENCODER_TASKS | {ENCODE: encode} | (CLASSIFICATION if config.labels else {}),
    tiny=(
        AdversarialConfig(input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=3, discriminator_widths=(8,)),
        AdversarialConfig(
            input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=3, discriminator_widths=(8,), labels=("a", "b")
        ),
        AdversarialConfig(
            input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=3, discriminator_widths=(8,), output="linear"
        ),
    ),
)
