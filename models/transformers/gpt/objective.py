"""The training objective of GPT."""

from torch import Tensor

from models.objectives import causal_loss
from models.text.padded_attention import PaddedTexts
from models.text.ragged_batch import RaggedBatch
from models.transformers.gpt.model import Gpt


def loss(model: Gpt, packed: RaggedBatch) -> Tensor:
    """Return the mean cross-entropy in nats of each token after those before it, a scalar.

    Source: Radford et al. 2018, equation 1.
    """
    hidden = model.hidden(packed, PaddedTexts(packed.segments, causal=True))
    return causal_loss(packed.token_ids, packed.segments, hidden, model.logits)
