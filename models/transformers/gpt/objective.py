"""What GPT is trained to do."""

from torch import Tensor

from models.layers.losses import token_loss
from models.layers.packing import Packed
from models.layers.padding import PaddedTexts
from models.transformers.gpt.model import Gpt


def loss(model: Gpt, packed: Packed) -> Tensor:
    """The cross-entropy in nats of each token after those before it: a scalar. Source: Radford et al. 2018."""
    hidden = model.hidden(packed, PaddedTexts(packed.segments, causal=True))
    before = packed.segments.positions[1:] > 0  # the first token of a text follows nothing
    return token_loss(model.logits(hidden[:-1][before]), packed.token_ids[1:][before])
