"""The loss that ELECTRA is pretrained with: a generator and a discriminator together."""

from torch import Tensor
from torch.nn import functional

from models.objectives import masked_loss
from models.text.padded_attention import PaddedTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder

DISCRIMINATOR_WEIGHT = 50.0
"""Weight of the discriminator's loss beside that of the generator (Clark et al. 2020, section 3.1)."""


def loss(
    generator: TextEncoder,
    discriminator: TextEncoder,
    masked: RaggedBatch,
    targets: Tensor,
    corrupted: RaggedBatch,
    is_replaced: Tensor,
) -> Tensor:
    """Return the cross-entropy of masked words, and that of replaced tokens with its weight, in nats: a scalar.

    `masked` are texts with masks, and `targets` `[N]` the ids that the masks hide, and -1 elsewhere. `corrupted` are
    the same texts with a token drawn from the generator's at each mask, which the trainer draws, and `is_replaced`
    `[N]`, bool, says where it is another than the hidden one. No gradient reaches the generator through what is drawn.

    Source: Clark et al. 2020, section 2.
    """
    of_generator = masked_loss(generator.masked_logits, generator.hidden(masked, PaddedTexts(masked.segments)), targets)
    hidden = discriminator.hidden(corrupted, PaddedTexts(corrupted.segments))
    of_discriminator = functional.cross_entropy(discriminator.token_logits(hidden), is_replaced.long())
    return of_generator + DISCRIMINATOR_WEIGHT * of_discriminator
