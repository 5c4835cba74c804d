"""The deep belief network: a stack of restricted Boltzmann machines, unrolled into an autoencoder and fine-tuned."""

from models.autoencoders.deep_belief.config import DeepBeliefConfig
from models.autoencoders.deep_belief.model import DeepBeliefNetwork
from models.autoencoders.deep_belief.tasks import sample
from models.autoencoding.tasks import AUTOENCODER_TASKS, CLASSIFICATION
from models.family import FamilySpec
from models.tasks import SAMPLE

FAMILY = FamilySpec(
    id="autoencoders/deep_belief",
    title="Deep belief network",
    paper="Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science 313, 2006",
    config=DeepBeliefConfig,
    build=DeepBeliefNetwork,
    tasks=lambda config: AUTOENCODER_TASKS | {SAMPLE: sample} | (CLASSIFICATION if config.labels else {}),
    tiny=(
        DeepBeliefConfig(input_shape=(1, 4, 4), hidden_widths=(8, 6), latent_width=3),
        DeepBeliefConfig(input_shape=(1, 4, 4), hidden_widths=(8,), latent_width=3, labels=("a", "b", "c")),
    ),
)
