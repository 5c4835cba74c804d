"""What ALBERT is trained to do."""

from collections.abc import Sequence

from torch import Tensor

from models.layers.encoder import TextEncoder
from models.layers.losses import masked_loss, pair_loss
from models.tasks.text import Tokens


def loss(model: TextEncoder, texts: Sequence[Tokens], targets: Sequence[Tensor], labels: Tensor) -> Tensor:
    """The sum of both tasks' cross-entropies in nats: a scalar.

    `texts` are pairs with masks, `targets` `[T]` each what they hide and -1 elsewhere, `labels` `[B]` 0 for pairs as
    they were and 1 for others. Source: Lan et al. 2020, section 3.1: masked words and the order of sentences.
    """
    return masked_loss(model, texts, targets) + pair_loss(model, texts, labels)
