"""The training objective of the encoder-decoder."""

from torch import Tensor

from models.objectives import token_loss
from models.text.padded_attention import PaddedAcross, PaddedTexts
from models.text.ragged_batch import RaggedBatch
from models.transformers.vanilla.model import VanillaTransformer


def loss(model: VanillaTransformer, sources: RaggedBatch, targets: RaggedBatch, smoothing: float) -> Tensor:
    """Return the mean smoothed cross-entropy in nats of each target token after those before it, a scalar.

    `targets` have the token that ends them. Both sides are given in the same order. Source: Vaswani et al. 2017,
    section 5.4.
    """
    memory = model.hidden(sources, PaddedTexts(sources.segments))
    given = targets.token_ids.roll(1)
    given[targets.segments.first] = model.start_id
    attention = PaddedTexts(targets.segments, causal=True)
    crossing = PaddedAcross(targets.segments, sources.segments, model.keys_values(memory))
    hidden = model.decoder(given, targets.segments.positions, attention, crossing)
    return token_loss(model.logits(hidden), targets.token_ids, smoothing)
