"""The loss that RoBERTa is pretrained with."""

from torch import Tensor

from models.objectives import masked_loss
from models.text.padded_attention import PaddedTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder


def loss(model: TextEncoder, batch: RaggedBatch, targets: Tensor) -> Tensor:
    """Return the cross-entropy of masked words in nats: a scalar.

    The batch is of texts with masks. `targets` `[N]` are the ids that the masks hide, and -1 elsewhere.

    Source: Liu et al. 2019, section 4.
    """
    return masked_loss(model.masked_logits, model.hidden(batch, PaddedTexts(batch.segments)), targets)
