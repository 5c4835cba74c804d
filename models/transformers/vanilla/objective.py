"""What the encoder-decoder is trained to do."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.layers.attention import AcrossTexts, WithinTexts
from models.layers.losses import token_loss
from models.layers.packing import Segments
from models.tasks.text import Tokens
from models.transformers.vanilla.model import VanillaTransformer


def loss(model: VanillaTransformer, sources: Sequence[Tokens], targets: Sequence[Tensor], smoothing: float) -> Tensor:
    """The cross-entropy in nats of each target token after those before it, smoothed: a scalar.

    `targets` are `[U]` each, with the token that ends them. Source: Vaswani et al. 2017, section 5.
    """
    packed = model.pack(sources)
    memory = model.hidden(packed, WithinTexts(packed.segments))
    ordered = [targets[place] for place in packed.order]
    segments = Segments([len(target) for target in ordered], memory.device)
    start = torch.tensor([model.config.start_id])
    given = torch.cat([torch.cat([start, target[:-1]]) for target in ordered]).to(memory.device)
    across = AcrossTexts(segments, packed.segments, model.keys_values(memory))
    attend = WithinTexts(segments, causal=True)
    hidden = model.decoder(given, segments.positions, attend, across)
    return token_loss(model.logits(hidden), torch.cat(ordered).to(memory.device), smoothing)
