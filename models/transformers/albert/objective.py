"""What ALBERT is trained to do."""

from torch import Tensor

from models.objectives import masked_loss, pair_loss
from models.text.padded_attention import PaddedTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder


def loss(model: TextEncoder, packed: RaggedBatch, targets: Tensor, labels: Tensor) -> Tensor:
    """The sum of both tasks' cross-entropies in nats: a scalar.

    `packed` are pairs with masks, `targets` `[N]` what they hide and -1 elsewhere, `labels` `[B]` 0 for pairs as they
    were and 1 for others. Source: Lan et al. 2020, section 3.1: masked words and the order of sentences.
    """
    hidden = model.hidden(packed, PaddedTexts(packed.segments))
    return masked_loss(model.masked_logits, hidden, targets) + pair_loss(model.pair_logits(packed, hidden), labels)
