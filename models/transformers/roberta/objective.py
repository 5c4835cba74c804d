"""What RoBERTa is trained to do."""

from torch import Tensor

from models.objectives import masked_loss
from models.text.padded_attention import PaddedTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder


def loss(model: TextEncoder, packed: RaggedBatch, targets: Tensor) -> Tensor:
    """The cross-entropy in nats of masked words alone: a scalar. Source: Liu et al. 2019, section 4.

    `packed` are texts with masks, `targets` `[N]` what they hide and -1 elsewhere.
    """
    return masked_loss(model.masked_logits, model.hidden(packed, PaddedTexts(packed.segments)), targets)
