"""The loss of MPNet where tokens are predicted in no order: that of masked words.

MPNet was pretrained to predict the tokens of a permuted text one after the other, by a network that attends in two
streams (Song et al. 2020, section 2.3). Trained further, it is an encoder like others.
"""

from torch import Tensor

from models.objectives import masked_loss
from models.text.padded_attention import PaddedTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder


def loss(model: TextEncoder, batch: RaggedBatch, targets: Tensor) -> Tensor:
    """Return the cross-entropy of masked words in nats: a scalar.

    The batch is of texts with masks. `targets` `[N]` are the ids that the masks hide, and -1 elsewhere.

    Source: Song et al. 2020, equation 1.
    """
    return masked_loss(model.masked_logits, model.hidden(batch, PaddedTexts(batch.segments)), targets)
