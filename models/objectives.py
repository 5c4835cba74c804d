"""Losses that several families minimise.

Shapes: `B` batch, `N` tokens of all texts, `D` width, `V` vocabulary.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from models.ops.segments import Segments


def squared_error(reconstructions: Tensor, items: Tensor) -> Tensor:
    """Return the squared error, summed over the elements of an item and averaged over the batch: a scalar.

    Both tensors are `[B, *input_shape]`. Source: Hinton and Salakhutdinov 2006, supporting text.
    """
    return (reconstructions - items).square().flatten(1).sum(1).mean()


def token_loss(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy in nats, averaged over tokens: logits `[N, V]` and targets `[N]` to a scalar.

    The share `smoothing` of the probability is spread over the vocabulary (Szegedy et al. 2016, section 7).
    """
    return functional.cross_entropy(logits, targets, label_smoothing=smoothing)


def causal_loss(token_ids: Tensor, segments: Segments, hidden: Tensor, logits_of: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the cross-entropy in nats of each token given those before it, averaged over tokens: a scalar.

    `token_ids` `[N]` are those of texts that lie in a row as `segments` says. The `hidden` states `[N, D]` must not
    have seen later tokens; `logits_of` maps `[n, D]` to `[n, V]`.
    """
    has_predecessor = segments.positions[1:] > 0  # the first token of a text is not predicted
    return token_loss(logits_of(hidden[:-1][has_predecessor]), token_ids[1:][has_predecessor])


def masked_loss(masked_logits: Callable[[Tensor], Tensor], hidden: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy in nats of masked tokens, averaged over them: a scalar.

    `masked_logits` maps states `[n, D]` to logits `[n, V]`. `hidden` is `[N, D]`; `targets` `[N]` are the ids that the
    masks hide, and -1 elsewhere. Source: Devlin et al. 2019, section 3.1, task 1.
    """
    is_masked = targets >= 0
    return token_loss(masked_logits(hidden[is_masked]), targets[is_masked])
