"""A classifier that starts from the encoder of an autoencoder.

Shapes: `B` batch.
"""

from copy import deepcopy

from torch import Tensor, nn
from torch.nn import functional


class EncoderClassifier(nn.Module):
    """y = W gelu(f(x)) + b. f starts as a copy of `encoder`, which maps items to `[B, latent_width]`.

    Source: Vincent et al. 2010, section 5; Hinton, Osindero, Teh 2006 for deep belief networks.
    """

    def __init__(self, encoder: nn.Module, latent_width: int, n_classes: int) -> None:
        super().__init__()
        self.encoder = deepcopy(encoder)
        self.to_logits = nn.Linear(latent_width, n_classes)

    def grow_from(self, encoder: nn.Module) -> None:
        """Start again from a trained encoder, with a last layer of zeros."""
        self.encoder.load_state_dict(encoder.state_dict())
        nn.init.zeros_(self.to_logits.weight)
        nn.init.zeros_(self.to_logits.bias)

    def features(self, items: Tensor) -> Tensor:
        """Return the input of the last layer: `[B, …]` to `[B, latent_width]`."""
        return functional.gelu(self.encoder(items))

    def forward(self, items: Tensor) -> Tensor:
        """Return the logits of the classes: `[B, …]` to `[B, n_classes]`."""
        logits: Tensor = self.to_logits(self.features(items))
        return logits
