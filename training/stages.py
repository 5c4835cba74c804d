"""Stages that several recipes share."""

from collections.abc import Callable
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.family import Model
from models.layers.encoder_classifier import EncoderClassifier
from training.augmentation import random_affine
from training.data.files import DataFolder
from training.data.mnist import GreyImages, mnist_images, mnist_labels
from training.errors import TrainingError
from training.optimisers import initialise_linear, muon_and_adamw
from training.recipe import Batch, ModelT, Resources, Stage


class GreyReconstruction(Stage[ModelT]):
    """Minimises `loss_of` (reconstruction, image) on grey images, by default the MNIST training split.

    Half of each batch is augmented: otherwise, networks of this size have half the error on training images that they
    have on others. `corrupt` changes the input but not the target. `trained_part` picks the modules to train. `gain`
    scales Glorot's initial weights of their linear layers; None keeps the weights as they are.
    """

    name = "reconstruction"

    def __init__(
        self,
        *,
        n_epochs: int,
        loss_of: Callable[[Tensor, Tensor], Tensor],
        gain: float | None,
        batch_size: int = 1000,
        muon_lr: float = 0.03,
        adamw_lr: float = 1e-3,
        trained_part: Callable[[ModelT], nn.Module] = lambda model: model,
        corrupt: Callable[[Tensor, torch.Generator], Tensor] = lambda images, _: images,
        images: Callable[[DataFolder], GreyImages] = mnist_images,
    ) -> None:
        self.n_epochs, self.batch_size = n_epochs, batch_size
        self._loss_of, self._gain, self._muon_lr, self._adamw_lr = loss_of, gain, muon_lr, adamw_lr
        self._trained_part, self._corrupt, self._images = trained_part, corrupt, images

    @override
    def items(self, resources: Resources) -> Batch:
        """Return the 60,000 images of the training split."""
        return (self._images(resources.data).train,)

    @override
    def begin(self, model: ModelT, items: Batch) -> nn.Module:
        """Draw the weights of the linear layers, if `gain` is set."""
        if self._gain is not None:
            initialise_linear(self._trained_part(model).modules(), gain=self._gain)
        return nn.Module()

    @override
    def optimisers(self, model: ModelT, companion: nn.Module) -> list[torch.optim.Optimizer]:
        return muon_and_adamw(self._trained_part(model), muon_lr=self._muon_lr, adamw_lr=self._adamw_lr)

    @override
    def loss(self, model: ModelT, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the objective on the reconstructions of the augmented, and possibly corrupted, batch."""
        images = augment_half(batch[0], generator)
        return self._loss_of(model(self._corrupt(images, generator)).float(), images)


class HasClassifier(Protocol):
    """A model with an encoder and an optional classifier of the same layers."""

    encoder: nn.Module
    classifier: EncoderClassifier | None


class DigitClassification(Stage[ModelT]):
    """Minimises the cross-entropy of the classifier, which starts as a copy of the encoder; label smoothing is 0.1."""

    name = "classification"
    batch_size = 500
    n_epochs = 40

    @override
    def items(self, resources: Resources) -> Batch:
        """Return the 60,000 images of the training split and their labels."""
        return mnist_images(resources.data).train, mnist_labels(resources.data).train

    @override
    def begin(self, model: ModelT, items: Batch) -> nn.Module:
        """Copy the encoder into the classifier, whose last layer starts at zero."""
        _classifier(model).grow_from(cast("HasClassifier", model).encoder)
        return nn.Module()

    @override
    def optimisers(self, model: ModelT, companion: nn.Module) -> list[torch.optim.Optimizer]:
        """Return Muon for the classifier's matrices and AdamW for its biases."""
        return muon_and_adamw(_classifier(model), muon_lr=0.01, adamw_lr=1e-3, weight_decay=0.01)

    @override
    def loss(self, model: ModelT, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the cross-entropy on a batch of which half is augmented."""
        images, labels = batch
        logits = _classifier(model)(augment_half(images, generator))
        return functional.cross_entropy(logits.float(), labels, label_smoothing=0.1)


def _classifier(model: Model) -> EncoderClassifier:
    classifier = cast("HasClassifier", model).classifier
    if classifier is None:
        raise TrainingError(f"{type(model).__name__} was built without labels; there is no classifier to train")
    return classifier


def augment_half(images: Tensor, generator: torch.Generator) -> Tensor:
    """Slightly rotate, scale, shear and shift the first half of the images `[B, 1, 28, 28]`."""
    half = len(images) // 2
    augmented = random_affine(
        images[:half], generator, max_rotation_deg=7.0, max_scale=0.08, max_shear=0.12, max_shift_px=1.5
    ).clamp(0, 1)
    return torch.cat([augmented, images[half:]])
