"""Losses that several families minimise."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from models.layers.encoder import TextEncoder
from models.layers.packing import Packed


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


def causal_loss(packed: Packed, hidden: Tensor, logits_of: Callable[[Tensor], Tensor]) -> Tensor:
    """Cross-entropy of each token after those before it: `hidden` `[N, D]` have seen no later ones. A scalar."""
    before = packed.segments.positions[1:] > 0  # the first token of a text follows nothing
    return token_loss(logits_of(hidden[:-1][before]), packed.token_ids[1:][before])


def masked_loss(model: TextEncoder, hidden: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of masked words: `hidden` `[N, D]`, `targets` `[N]` what the masks hide and -1 elsewhere.

    Source: Devlin et al. 2019, section 3.1, task 1.
    """
    places = targets >= 0
    return token_loss(model.masked_logits(hidden[places]), targets[places])


def pair_loss(model: TextEncoder, packed: Packed, hidden: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of whether two sentences belong together (0) or not (1); `labels` are `[B]`, as given.

    Source: Devlin et al. 2019, section 3.1, task 2.
    """
    return functional.cross_entropy(model.pair_logits(packed, hidden), labels)
