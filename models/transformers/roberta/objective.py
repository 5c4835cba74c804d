"""What RoBERTa is trained to do."""

from collections.abc import Sequence

from torch import Tensor

from models.layers.encoder import TextEncoder
from models.layers.losses import masked_loss
from models.tasks.text import Tokens


def loss(model: TextEncoder, texts: Sequence[Tokens], targets: Sequence[Tensor]) -> Tensor:
    """The cross-entropy in nats of masked words alone: a scalar. Source: Liu et al. 2019, section 4."""
    return masked_loss(model, texts, targets)
