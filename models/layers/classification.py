"""Items to logits to labels."""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.tasks.autoencoding import Activation, ClassifyRequest, ClassifyResult, LabelScore

_FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "softmax": lambda logits: logits.softmax(0),
    "sigmoid": torch.sigmoid,
    "none": lambda logits: logits,
}


class EncoderClassifier(nn.Module):
    """y = W gelu(f(x)) + b. f starts as a copy of `encoder`, from items to `[B, latent_width]`, and is its own.

    Source: Vincent et al. 2010, section 5; Hinton, Osindero, Teh 2006 for deep belief networks.
    """

    def __init__(self, encoder: nn.Module, latent_width: int, n_classes: int) -> None:
        super().__init__()
        self.encoder = deepcopy(encoder)
        self.to_logits = nn.Linear(latent_width, n_classes)

    def grow_from(self, encoder: nn.Module) -> None:
        """Start anew as a copy of the autoencoder's `encoder`, trained by now, with a last layer of zeros."""
        self.encoder.load_state_dict(encoder.state_dict())
        nn.init.zeros_(self.to_logits.weight)
        nn.init.zeros_(self.to_logits.bias)

    def features(self, items: Tensor) -> Tensor:
        """`[B, …]` to `[B, latent_width]`, what the last layer sees."""
        return functional.gelu(self.encoder(items))

    def forward(self, items: Tensor) -> Tensor:
        """`[B, …]` to `[B, n_classes]`."""
        logits: Tensor = self.to_logits(self.features(items))
        return logits


def rank(labels: tuple[str, ...], logits: Tensor, request: ClassifyRequest) -> ClassifyResult:
    """The `top_k` best of `labels` by `logits` `[n_labels]`."""
    scores = _FUNCTIONS[request.function_to_apply](logits)
    best, places = scores.topk(min(request.top_k or len(labels), len(labels)))
    pairs = zip(places.tolist(), best.tolist(), strict=True)
    return ClassifyResult(labels=tuple(LabelScore(labels[i], score) for i, score in pairs))
