"""What GPT is trained to do."""

from torch import Tensor

from models.layers.losses import causal_loss
from models.layers.packing import Packed
from models.layers.padding import PaddedTexts
from models.transformers.gpt.model import Gpt


def loss(model: Gpt, packed: Packed) -> Tensor:
    """The cross-entropy in nats of each token after those before it: a scalar. Source: Radford et al. 2018."""
    hidden = model.hidden(packed, PaddedTexts(packed.segments, causal=True))
    return causal_loss(packed, hidden, model.logits)
