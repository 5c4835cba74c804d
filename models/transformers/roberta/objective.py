"""What RoBERTa is trained to do."""

from torch import Tensor

from models.layers.encoder import TextEncoder
from models.layers.losses import masked_loss
from models.layers.packing import Packed
from models.layers.padding import PaddedTexts


def loss(model: TextEncoder, packed: Packed, targets: Tensor) -> Tensor:
    """The cross-entropy in nats of masked words alone: a scalar. Source: Liu et al. 2019, section 4.

    `packed` are texts with masks, `targets` `[N]` what they hide and -1 elsewhere.
    """
    return masked_loss(model, model.hidden(packed, PaddedTexts(packed.segments)), targets)
