"""Losses that several families minimise."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from models.layers.attention import WithinTexts
from models.layers.encoder import TextEncoder
from models.tasks.text import Tokens


def squared_error(reconstructions: Tensor, items: Tensor) -> Tensor:
    """Squared error summed over an item's elements, averaged over the batch: a scalar.

    Both tensors are `[B, *input_shape]`. Source: Hinton and Salakhutdinov 2006, supporting text.
    """
    return (reconstructions - items).square().flatten(1).sum(1).mean()


def token_loss(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy in nats, averaged over tokens: logits `[N, V]`, targets `[N]`, to a scalar.

    `smoothing` of the probability is spread over the vocabulary (Szegedy et al. 2016, section 7).
    """
    return functional.cross_entropy(logits, targets, label_smoothing=smoothing)


def masked_loss(model: TextEncoder, texts: Sequence[Tokens], targets: Sequence[Tensor]) -> Tensor:
    """Cross-entropy at masked places: `targets` are `[T]`, -1 elsewhere. Source: Devlin et al. 2019, 3.1."""
    packed = model.pack(texts)
    hidden = model.hidden(packed, WithinTexts(packed.segments))
    wanted = torch.cat([targets[place] for place in packed.order]).to(hidden.device)
    places = wanted >= 0
    return token_loss(model.masked_logits(hidden[places]), wanted[places])


def pair_loss(model: TextEncoder, texts: Sequence[Tokens], labels: Tensor) -> Tensor:
    """Cross-entropy of whether two sentences belong together (0) or not (1); `labels` are `[B]`."""
    packed = model.pack(texts)
    pooled = model.pooled(packed, model.hidden(packed, WithinTexts(packed.segments)))
    if model.pair_head is None:
        raise NotImplementedError("this model was built without a head for pairs")
    return functional.cross_entropy(model.pair_head(pooled), labels.to(pooled.device))
