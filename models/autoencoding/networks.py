"""What anomaly scores need of an autoencoder. Shapes: `B` items."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Networks(Protocol):
    """The two networks of an autoencoder."""

    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        """Return the latents of items, `[B, *latent_shape]`."""

    def items_of(self, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> Sequence[Tensor]:
        """Return the items of latents."""
