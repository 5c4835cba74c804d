"""The base of autoencoders of pictures of several sizes. Their latents are smaller pictures with other channels.

Shapes: `B` batch, `C` channels of a picture, `H` height, `W` width, `Z` channels of a latent; `h`, `w` its sides.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration
from models.autoencoding.compression.quantisation import pack_measured, unpack_measured
from models.ops.cooperation import begin_part
from models.ops.devices import to_cpu
from models.tasks import Task
from models.tasks.autoencoding import DecodeRequest

EXAMPLE_SIDE = 8
"""Rows and columns of the latent of an example."""
MAX_PIXELS = 2**22
"""Most pixels of a picture, such as 2048 x 2048."""
CALIBRATED_SCORES = ("mse", "mae")
"""Anomaly scores of a model that was calibrated: the mean squared and the mean absolute error of the reconstruction."""
PIXELS_AT_ONCE = 2**16
"""Most pixels of pictures that are computed together. On two cores, larger batches were not faster."""


class PictureAutoencoder(Autoencoder):
    """An autoencoder of pictures whose sides are any multiples of `scale`.

    A family implements `encode` and `decode`. All pictures of one call have one size, and so have their latents;
    `models.autoencoding.picture_tasks` groups those of a batch. A stream of compressed pictures has the scale of their
    own latents, so that no calibration is needed. `input_shape` and `latent_shape` are those of a small
    example.

    Attributes:
        scale: number of pixels of a side for each row or column of a latent.
        max_pixels: most pixels of a picture.
        encoder: the network that `encode` uses.
        decoder: the network that `decode` uses.
        bytes_per_pixel: about the most memory that the networks take for each pixel of those that they compute at once,
            in bytes.
        kept_bytes_per_pixel: about the most memory, in bytes, that they keep for each pixel of a picture that they
            compute in parts.
        max_pixels_at_once: most pixels of a picture in parts that are computed at once: of one, with its surroundings.
        max_whole_pixels: most pixels of a picture that is computed as a whole.
    """

    scores: tuple[str, ...] = ()
    samplers = ()
    encoder: nn.Module
    decoder: nn.Module
    bytes_per_pixel: int
    kept_bytes_per_pixel: int = 0
    max_pixels_at_once: int
    max_whole_pixels: int

    def __init__(self, *, n_channels: int, n_latent_channels: int, scale: int, max_pixels: int) -> None:
        super().__init__()
        self.scale, self.max_pixels = scale, max_pixels
        self.input_shape = (n_channels, EXAMPLE_SIDE * scale, EXAMPLE_SIDE * scale)
        self.latent_shape = (n_latent_channels, EXAMPLE_SIDE, EXAMPLE_SIDE)

    def limit_memory(self, n_bytes: int) -> None:
        """Compute pictures in parts whose networks would otherwise take more than so many bytes.

        Families whose parts have a fixed size do not override this.
        """

    @property
    def pictures(self) -> str:
        """The shapes of pictures that the model takes, in words."""
        shape = f"[{self.input_shape[0]}, height, width]"
        return f"{shape}, of at most {self.max_pixels} pixels and with sides that are multiples of {self.scale}"

    def is_picture(self, shape: tuple[int, ...]) -> bool:
        """Return whether the model takes pictures of a shape."""
        if len(shape) != len(self.input_shape) or shape[0] != self.input_shape[0]:
            return False
        _, height, width = shape
        has_sides = all(side > 0 and side % self.scale == 0 for side in (height, width))
        return has_sides and height * width <= self.max_pixels

    @abstractmethod
    def encode(self, pictures: Tensor) -> Tensor:
        """Map pictures in [0, 1], `[B, C, H, W]`, to latents `[B, Z, h, w]`."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Map latents `[B, Z, h, w]` to pictures `[B, C, H, W]`, whose values may lie a little outside of [0, 1]."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Reconstruct `[B, C, H, W]`."""
        return self.decode(self.encode(pictures))

    def use_calibration(self, calibration: Calibration) -> None:
        """Offer the anomaly scores of a calibration."""
        self.calibration = calibration
        self.scores = CALIBRATED_SCORES

    def parts_of(self, batch: Tensor, n_pixels: int) -> Iterator[Tensor]:
        """Yield the pictures or the latents of a batch on the model's device, at most `PIXELS_AT_ONCE` together.

        `n_pixels` is the number of pixels of a picture. One that has more is a part of its own. In memory, the channels
        of a position lie together, for which convolutions are faster.
        """
        for part in torch.split(batch, max(1, PIXELS_AT_ONCE // n_pixels)):
            begin_part()
            yield self.to_device(part).contiguous(memory_format=torch.channels_last)

    @override
    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        """Map pictures of one size, `[C, H, W]` each, to latents `[B, Z, h, w]`."""
        pictures = torch.stack(list(items))
        n_pixels = pictures.shape[2] * pictures.shape[3]
        return torch.cat([to_cpu(self.encode(part)) for part in self.parts_of(pictures, n_pixels)]).contiguous()

    @override
    def items_of(self, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """Map latents `[B, Z, h, w]` to pictures `[C, H, W]` in [0, 1]. Their shapes follow from those of latents."""
        n_pixels = latents.shape[2] * latents.shape[3] * self.scale**2
        pictures: list[Tensor] = []
        for part in self.parts_of(latents, n_pixels):
            pictures += to_cpu(self.decode(part)).contiguous().clamp_(0, 1).unbind()
        return pictures

    @override
    def pack_latents(self, latents: Tensor, bits: int) -> NDArray[np.uint32]:
        return pack_measured(latents, bits)

    @override
    def unpack_latents(
        self, words: NDArray[np.uint32], bits: int, n_items: int, item_shape: tuple[int, ...]
    ) -> Tensor | None:
        _, height, width = item_shape
        shape = (n_items, self.latent_shape[0], height // self.scale, width // self.scale)
        return unpack_measured(words, bits, shape)

    @override
    def cost_of(self, task: Task, request: Any) -> int:
        """Return the elements of the pictures of a request."""
        if isinstance(request, DecodeRequest):
            _, height, width = request.latent.shape
            return self.input_shape[0] * height * width * self.scale**2
        return super().cost_of(task, request)
