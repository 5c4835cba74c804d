"""The training objective of GPT."""

from torch import Tensor

from models.objectives import causal_loss
from models.text.padded_attention import PaddedTexts
from models.text.ragged_batch import RaggedBatch
from models.transformers.gpt.model import Gpt


def loss(model: Gpt, batch: RaggedBatch) -> Tensor:
    """Return the mean cross-entropy in nats of each token after those before it, a scalar.

    Source: Radford et al. 2018, equation 1.
    """
    hidden = model.hidden(batch, PaddedTexts(batch.segments, causal=True))
    return causal_loss(batch.token_ids, batch.segments, hidden, model.logits)
