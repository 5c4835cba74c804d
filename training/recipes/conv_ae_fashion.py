"""The convolutional autoencoder of Fashion-MNIST, latent 32; its checkpoint does not ship."""

from collections.abc import Mapping, Sequence

from torch import Tensor
from typing_extensions import override

from models.autoencoders.convolutional.config import ConvolutionalConfig
from models.autoencoders.convolutional.model import ConvolutionalAutoencoder
from models.autoencoders.convolutional.objective import squared_error
from training.data.fashion_mnist import fashion_mnist_images
from training.data.files import DataFolder
from training.data.mnist import GreyImages
from training.digits import GreyPictureRecipe, random_halves
from training.stages import GreyReconstruction


class ConvAeFashion(GreyPictureRecipe):
    """Recipe of `conv-ae-fashion`: 28x28 to 14x14x32 to 7x7x64 to 32 and back."""

    name = "conv-ae-fashion"
    family = "autoencoders/convolutional"
    config = ConvolutionalConfig(input_shape=(1, 28, 28), channels=(32, 64), latent_width=32, hidden_width=512)
    stages = (
        GreyReconstruction[ConvolutionalAutoencoder](
            n_epochs=60,
            loss_of=squared_error,
            gain=1.2,
            batch_size=500,
            adamw_lr=2e-3,
            images=fashion_mnist_images,
        ),
    )
    short_description = "clothes, 784 to 32"
    summary = """
A convolutional autoencoder of clothes: 28x28, 14x14 with 32 channels, 7x7 with 64, 512, **32**, and back. Family:
`autoencoders/convolutional`. Items: grey images 28x28 in [0, 1], on black. Latent: 32 numbers.
"""
    procedure = """
Fashion-MNIST training split, 60,000 images (Xiao, Rasul, Vollgraf 2017). 60 epochs of 120 batches of 500, Muon at 0.03
for the linear layers and AdamW at 0.002 for the convolutions with a linear decay, half of each batch slightly rotated,
scaled, sheared and shifted.
"""
    limits = """
It knows single pieces of clothing as Fashion-MNIST shows them: upright, grey, filling the frame, on black. The normal
scores behind `/detect-anomalies` are those of a random half of the test images.
"""
    known_failings = "Images that are not centred garments on black come back looking like garments."
    data_licence = "Fashion-MNIST: MIT, copyright 2017 Zalando SE."

    @override
    def images(self, data: DataFolder) -> GreyImages:
        return fashion_mnist_images(data)

    @override
    def chart_groups(self, data: DataFolder) -> Mapping[str, Sequence[Tensor]]:
        """Return the test images that the calibration does not use, as one group."""
        return {"clothes": list(random_halves(self.images(data).test)[1])}


RECIPE = ConvAeFashion()
