"""What the encoder-decoder is trained to do."""

from torch import Tensor

from models.objectives import token_loss
from models.text.padded_attention import PaddedAcross, PaddedTexts
from models.text.ragged_batch import RaggedBatch
from models.transformers.vanilla.model import VanillaTransformer


def loss(model: VanillaTransformer, sources: RaggedBatch, targets: RaggedBatch, smoothing: float) -> Tensor:
    """The cross-entropy in nats of each target token after those before it, smoothed: a scalar.

    `targets` have the token that ends them; both sides are given in the same order.
    Source: Vaswani et al. 2017, section 5.
    """
    memory = model.hidden(sources, PaddedTexts(sources.segments))
    given = targets.token_ids.roll(1)
    given[targets.segments.first] = model.config.start_id
    attend = PaddedTexts(targets.segments, causal=True)
    across = PaddedAcross(targets.segments, sources.segments, model.keys_values(memory))
    hidden = model.decoder(given, targets.segments.positions, attend, across)
    return token_loss(model.logits(hidden), targets.token_ids, smoothing)
