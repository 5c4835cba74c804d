"""The vanilla autoencoder of MNIST digits, latent 32.

Muon (Jordan et al. 2024; `torch.optim.Muon`) orthogonalises the momentum of each weight matrix. On this network it is
worth about a factor of four in epochs over AdamW. Half of each batch is slightly rotated, scaled, sheared and shifted:
without that the training error falls to half the test error.
"""

import torch
from torch import Tensor, nn

from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoders.vanilla.objective import squared_error
from models.codecs.image import ImageCodec
from models.family import Model
from training.augmentation import random_affine
from training.data.files import DataFolder
from training.data.mnist import mnist_images
from training.metrics import pca_error, reconstruction_errors
from training.recipe import Bar, Recipe

WARM_UP = 0.02
"""Fraction of the steps over which the learning rate rises."""
N_PICTURED = 18


class VanillaAeMnist(Recipe):
    """784-1024-512-256-32 and back."""

    name = "vanilla-ae-mnist"
    family = "autoencoders/vanilla"
    config = VanillaConfig(input_shape=(1, 28, 28), hidden_widths=(1024, 512, 256), latent_width=32)
    codec = {"modality": "image", "shape": [1, 28, 28]}  # noqa: RUF012
    n_epochs = 100
    batch_size = 1000
    bars = {"test_mse": Bar(must=0.0042, aim=0.0036)}  # noqa: RUF012

    def training_items(self, data: DataFolder) -> Tensor:
        """The 60,000 images of the training split."""
        return mnist_images(data).train

    def initialise(self, model: Model) -> None:
        """Weights a little wider than Glorot's, for GELU shrinks what passes; biases zero."""
        for module in model.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight, gain=1.2)
                nn.init.zeros_(module.bias)

    def optimisers(self, model: Model) -> list[torch.optim.Optimizer]:
        """Muon for matrices, AdamW for biases."""
        matrices = [p for p in model.parameters() if p.ndim == 2]
        biases = [p for p in model.parameters() if p.ndim == 1]
        return [
            torch.optim.Muon(matrices, lr=0.03, weight_decay=0.0),
            torch.optim.AdamW(biases, lr=1e-3, weight_decay=0.0),
        ]

    def learning_rate(self, progress: float) -> float:
        """A short linear rise, then a straight line to zero."""
        return min(1.0, progress / WARM_UP) * (1.0 - progress)

    def loss(self, model: Model, items: Tensor, generator: torch.Generator) -> Tensor:
        """Squared error; the first half of the batch is augmented."""
        half = len(items) // 2
        moved = random_affine(
            items[:half], generator, max_rotation_deg=7.0, max_scale=0.08, max_shear=0.12, max_shift_px=1.5
        ).clamp(0, 1)
        items = torch.cat([moved, items[half:]])
        return squared_error(model(items).float(), items)

    def evaluate(self, model: Model, data: DataFolder) -> dict[str, float]:
        """Errors on the 10,000 test images, beside PCA of the same latent width."""
        images = mnist_images(data)
        (width,) = model.latent_shape
        return reconstruction_errors(model, images.test) | {"pca_test_mse": pca_error(images.train, images.test, width)}

    def picture(self, model: Model, data: DataFolder) -> bytes:
        """The first test images, each left of its reconstruction."""
        images = mnist_images(data).test[:N_PICTURED]
        with torch.inference_mode():
            reconstructions = model(images)
        pairs = torch.stack([images, reconstructions], 1).flatten(0, 1)
        return ImageCodec(1, 28, 28).png(pairs.numpy())

    @property
    def card(self) -> str:
        """Filled in with the metrics and written beside the weights."""
        return CARD


CARD = """# vanilla-ae-mnist

A fully connected autoencoder of handwritten digits: 784-1024-512-256-**32**-256-512-1024-784, GELU, sigmoid output.
Family: `autoencoders/vanilla`. Items: grey images 28x28 in [0, 1], white ink on black. Latent: 32 numbers.

![Test images, each left of its reconstruction](picture.png)

The first test images, each left of its reconstruction.

## Metrics

MNIST test split, 10,000 images, never trained on, measured on the file in this folder:

| metric | value |
|---|---|
| mean squared error a pixel | {test_mse:.5f} |
| mean absolute error a pixel | {test_mae:.5f} |
| mean squared error of PCA with 32 components, for comparison | {pca_test_mse:.5f} |

```
make evaluate
```

prints the same numbers again.

## Data and recipe

MNIST training split, 60,000 images (LeCun, Bottou, Bengio, Haffner 1998). 100 epochs of 60 batches of 1,000, Muon at
0.03 with a linear decay, half of each batch slightly rotated, scaled, sheared and shifted. Optimiser and augmentation
were chosen on the last 5,000 training images. Retrain with

```
make train RECIPE=vanilla-ae-mnist
```

in about 20 minutes on two CPU cores. `training/recipes/vanilla_ae_mnist.py` is the whole recipe. Weights are stored as
float16 and computed in float32.

## Limits

It knows digits that fill the frame as MNIST's do: centred by mass, in a 20x20 box, with a dark background. Other
drawings come back looking like digits. The latent has no prior; random latents decode to smudges.

## Licence

Weights: Apache-2.0. MNIST: copyright Y. LeCun and C. Cortes, widely redistributed under CC BY-SA 3.0.
"""

RECIPE = VanillaAeMnist()
