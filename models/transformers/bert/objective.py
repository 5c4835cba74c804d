"""The loss that BERT is pretrained with."""

from torch import Tensor
from torch.nn import functional

from models.objectives import masked_loss
from models.text.padded_attention import PaddedTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder


def loss(model: TextEncoder, batch: RaggedBatch, targets: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of the cross-entropies of masked words and of pairs in nats: a scalar.

    The batch is of pairs with masks. `targets` `[N]` are the ids that the masks hide, and -1 elsewhere; `labels` `[B]`
    are 0 for pairs as they were and 1 for others.

    Source: Devlin et al. 2019, section 3.1: masked words and next sentences.
    """
    hidden = model.hidden(batch, PaddedTexts(batch.segments))
    loss_of_words = masked_loss(model.masked_logits, hidden, targets)
    return loss_of_words + functional.cross_entropy(model.pair_logits(batch, hidden), labels)
