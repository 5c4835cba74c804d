"""The interface of autoencoders, and the base of those that are made of two networks.

The tasks are not part of it: they are functions that take an autoencoder and a batch of requests.

Shapes: `B` batch. `input_shape` and `latent_shape` are attributes of the model.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from models.autoencoding.calibration import Calibration
from models.autoencoding.compression.quantisation import pack, unpack
from models.autoencoding.compression.stream import DIGEST_BYTES
from models.autoencoding.detector import Detector
from models.autoencoding.latents import draw_from_prior
from models.autoencoding.outlier_classifier import OutlierClassifier
from models.autoencoding.windows import Windows
from models.errors import InvalidItems, Problem
from models.family import Model
from models.ops.devices import to_cpu
from models.seeding import seeded
from models.tasks import COMPRESS, Task
from models.tasks.autoencoding import (
    CompressRequest,
    DecodeRequest,
    DecompressRequest,
    DetectAnomaliesRequest,
    ImputeRequest,
    InterpolateRequest,
    ItemRequest,
    ProjectRequest,
    SampleRequest,
)

COST_OF_SINGLE_ITEM = 8
"""Cost of an item that is read or made alone, as streams demand, relative to that of one in a batch."""


class LosslessCoder(Protocol):
    """Encodes items as 32-bit words from which exactly these items can be decoded again."""

    def pack(self, items: Sequence[Tensor]) -> NDArray[np.uint32]:
        """Return the words of items, which are on the CPU.

        Raises:
            InvalidItems: an item has values that the coder does not support.
        """

    def unpack(self, words: NDArray[np.uint32], n_items: int) -> list[Tensor] | None:
        """Return the items, or None if `pack` cannot have made the words."""


class Autoencoder(Model):
    """A model that maps items to latents and latents to items.

    A family implements `latents_of` and `items_of`. It overrides other methods only where it differs. Tensors that
    enter or leave these methods are on the CPU, in float32 or, for items whose values have no limits, in float64.

    Attributes:
        input_shape: shape of an item; of series, `(T, C)` with the length that the model was trained on.
        latent_shape: shape of a latent.
        max_length: maximum number of steps of a series; None if all items have the shape `input_shape`.
        value_range: smallest and largest value of an element; infinite if there is no limit.
        stored_bits: size of an element before compression, in bits.
        scores: names of the anomaly scores; the first is the default.
        samplers: names of the samplers; the first is the default.
        score_passes: for scores that cost more than one pass through the networks, the number of passes.
        reads_weights: whether the model reads the weights of its linear layers, which then must not be packed.
        detector: what computes further scores; None for models without these scores.
        windows: how longer series are split into items; None if every item is taken as a whole.
        least_scores: for anomaly scores of windows, what those of normal steps are; see `models.autoencoding.coverage`.
        calibration: measurements of the trained model. A model has none until it is calibrated or loaded.
        digest: bytes that distinguish the checkpoint from all others; zeros until a checkpoint is loaded.
    """

    input_shape: tuple[int, ...]
    latent_shape: tuple[int, ...]
    max_length: int | None = None
    value_range: tuple[float, float] = (0.0, 1.0)
    stored_bits = 8
    scores: tuple[str, ...] = ("mse", "mae")
    samplers: tuple[str, ...] = ("gmm",)
    score_passes: Mapping[str, int] = {}
    reads_weights = False
    detector: Detector | OutlierClassifier | None = None
    windows: Windows | None = None
    least_scores: Mapping[str, Tensor] = {}
    calibration: Calibration
    digest: bytes = bytes(DIGEST_BYTES)

    @property
    def is_lossless(self) -> bool:
        """Return whether the model has a lossless coding, without making its coder."""
        return False

    @property
    def lossless_coder(self) -> LosslessCoder | None:
        """Return the coder of lossless streams; None if the model has no lossless coding.

        Families make it once. `models.precision` asks for it before it casts the weights, so that streams do not depend
        on the precision.
        """
        return None

    @abstractmethod
    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        """Map items to latents `[B, *latent_shape]`."""

    @abstractmethod
    def items_of(self, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """Map latents `[B, *latent_shape]` to items of the given shapes."""

    def pack_latents(self, latents: Tensor, bits: int) -> NDArray[np.uint32]:
        """Return the payload of a stream of latents `[n, *latent_shape]`, each element quantised to `bits` bits."""
        return pack(latents, self.calibration, bits)

    def unpack_latents(
        self, words: NDArray[np.uint32], bits: int, n_items: int, item_shape: tuple[int, ...]
    ) -> Tensor | None:
        """Return the latents of a payload for items of a shape; None if `pack_latents` cannot have made it."""
        return unpack(words, self.calibration, bits, n_items)

    def reconstructions_of(self, items: Sequence[Tensor]) -> list[Tensor]:
        """Map items to latents and these to items of the same shapes."""
        shapes = [tuple(item.shape) for item in items]
        return self.items_of(self.latents_of(items), shapes)

    def draw_latent(self, request: SampleRequest, sampler: str, generator: torch.Generator) -> Tensor:
        """Draw a latent with one of the model's samplers.

        The sampler `prior` draws from the standard normal distribution, and a class if the model has labels; `gmm`
        draws from the mixture of Gaussians in the calibration.
        """
        if sampler == "prior":
            return draw_from_prior(self.latent_shape[0], self.labels, request, generator)
        if sampler == "gmm" and self.calibration.mixture is not None:
            return self.calibration.mixture.draw(generator, request.temperature).view(self.latent_shape)
        raise NotImplementedError(f"{type(self).__name__} declares the sampler {sampler} and has none")

    def labels_of(self, sampler: str) -> tuple[str, ...]:
        """Return the classes that one of the model's samplers can be asked for.

        These are the model's own if the draw contains a class, as draws from the prior do, and else none.
        """
        return self.labels if sampler == "prior" else ()

    def score_contributions(self, items: Sequence[Tensor], score: str) -> list[Tensor]:
        """Return how much each element contributes to the anomaly score of its item, in the shape of the item.

        The score is the sum of the contributions: the mean squared error (`mse`), the mean absolute error (`mae`), or
        one of the detector's.
        """
        if self.detector is not None and score in self.detector.score_names:
            return self.detector.contributions(score, items, self)
        measures: Mapping[str, Callable[[Tensor], Tensor]] = {"mse": torch.square, "mae": torch.abs}
        return [
            measures[score](reconstruction - item) / item.numel()
            for item, reconstruction in zip(items, self.reconstructions_of(items), strict=True)
        ]

    def use_detector(self, detector: Detector | OutlierClassifier) -> None:
        """Offer the scores of a detector, the first of which becomes the default."""
        self.detector = detector
        names = detector.score_names
        self.scores = (*names, *(name for name in self.scores if name not in names))

    @override
    def cost_of(self, task: Task, request: Any) -> int:
        """Return the elements that a request adds to a batch, times the passes through the networks."""
        if isinstance(request, DetectAnomaliesRequest):
            n_passes = self.score_passes.get(request.score or self.scores[0], 1)
            return request.cost * n_passes * self._n_windows_per_step
        if isinstance(request, DecodeRequest):
            return max(request.cost, prod(self.input_shape))
        if isinstance(request, CompressRequest | DecompressRequest):
            return request.cost * COST_OF_SINGLE_ITEM
        if isinstance(request, ItemRequest):
            return request.cost * self._n_windows_per_step
        return super().cost_of(task, request)

    @property
    def _n_windows_per_step(self) -> int:
        return 1 if self.windows is None else self.windows.n_per_step

    def item_shape(self, length: int | None) -> tuple[int, ...]:
        """Return the shape of an item with `length` steps, or of the items trained on if None.

        Raises:
            InvalidItems: there are no items of that length.
        """
        if length is None:
            return self.input_shape
        if self.max_length is None:
            detail = (
                f"length is {length}; it is for series, and this model's items have the shape {[*self.input_shape]}"
            )
            raise InvalidItems(Problem(detail, parameter="length"))
        if not 1 <= length <= self.max_length:
            raise InvalidItems(Problem(f"length is {length}; it must be 1 to {self.max_length}", parameter="length"))
        return (length, *self.input_shape[1:])

    def to_device(self, values: Tensor) -> Tensor:
        """Return the values on the device and in the dtype of the weights."""
        weight = next(self.parameters())
        return values.to(weight.device, weight.dtype)

    @override
    def extra_tensors(self) -> list[Tensor]:
        calibration: Calibration | None = getattr(self, "calibration", None)
        return [] if calibration is None else list(calibration.tensors().values())

    @override
    def random_codes(self, n: int) -> Tensor:
        items = torch.rand((n, *self.input_shape), generator=seeded(n))
        return self.latents_of(list(items)).flatten(1)

    @override
    def example(self, task: Task) -> Any:
        black, grey = torch.zeros(self.input_shape), torch.full(self.input_shape, 0.5)
        if task.request is DecompressRequest:
            (compressed,) = self.run(COMPRESS, [CompressRequest(items=(black,))])
            return DecompressRequest(stream=compressed.stream, max_items=1)
        arguments: dict[type, dict[str, Any]] = {
            DecodeRequest: {"latent": torch.zeros(self.latent_shape)},
            SampleRequest: {"seed": 0},
            InterpolateRequest: {"start": black, "end": grey, "steps": 2},
            CompressRequest: {"items": (black,)},
            ProjectRequest: {"items": (black, grey)},
            ImputeRequest: {"item": black, "iterations": 1},
        }
        return task.request(**arguments.get(task.request, {"item": black}))


class FixedShapeAutoencoder(Autoencoder):
    """An autoencoder that is made of two networks and whose items all have the shape `input_shape`.

    A family sets `encoder` and `decoder`, or overrides `encode` and `decode`. The tensors of the first four methods are
    batches on the device and in the dtype of the weights.

    Attributes:
        encoder: maps `[B, *input_shape]` to `[B, *latent_shape]`.
        decoder: maps `[B, *latent_shape]` to `[B, *input_shape]`.
        classifier: maps `[B, *input_shape]` to `[B, n_labels]`; None for models without labels.
    """

    encoder: nn.Module
    decoder: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.classifier: nn.Module | None = None

    def forward(self, items: Tensor) -> Tensor:
        """Reconstruct `[B, *input_shape]`."""
        return self.decode(self.encode(items))

    def encode(self, items: Tensor) -> Tensor:
        """Map `[B, *input_shape]` to `[B, *latent_shape]`."""
        latents: Tensor = self.encoder(items)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Map `[B, *latent_shape]` to `[B, *input_shape]`."""
        items: Tensor = self.decoder(latents)
        return items

    def class_logits(self, items: Tensor) -> Tensor:
        """Map `[B, *input_shape]` to the logits of the classes, `[B, n_labels]`."""
        if self.classifier is None:
            raise NotImplementedError("this model was built without labels")
        logits: Tensor = self.classifier(items)
        return logits

    @override
    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        batch = self.to_device(torch.stack(list(items)))
        return to_cpu(self.encode(batch))

    @override
    def items_of(self, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        batch = to_cpu(self.decode(self.to_device(latents)))
        return list(batch.unbind())

    @override
    def reconstructions_of(self, items: Sequence[Tensor]) -> list[Tensor]:
        batch = self.to_device(torch.stack(list(items)))
        return list(to_cpu(self(batch)).unbind())

    def class_logits_of(self, items: Sequence[Tensor]) -> Tensor:
        """Return the logits of the classes, `[B, n_labels]`. Only models with labels have them."""
        batch = self.to_device(torch.stack(list(items)))
        return to_cpu(self.class_logits(batch))
