"""What GPT is trained to do."""

from collections.abc import Sequence

from torch import Tensor

from models.layers.attention import WithinTexts
from models.layers.losses import token_loss
from models.tasks.text import Tokens
from models.transformers.gpt.model import Gpt


def loss(model: Gpt, texts: Sequence[Tokens]) -> Tensor:
    """The cross-entropy in nats of each token after those before it: a scalar. Source: Radford et al. 2018."""
    packed = model.pack(texts)
    hidden = model.hidden(packed, WithinTexts(packed.segments, causal=True))
    before = packed.segments.positions[1:] > 0  # the first token of a text follows nothing
    return token_loss(model.logits(hidden[:-1][before]), packed.token_ids[1:][before])
