"""The convolutional autoencoder of MNIST digits, latent 32."""

from models.autoencoders.convolutional.config import ConvolutionalConfig
from models.autoencoders.convolutional.model import ConvolutionalAutoencoder
from models.autoencoders.convolutional.objective import squared_error
from training.digits import DigitRecipe
from training.recipe import Bar
from training.stages import GreyReconstruction


class ConvAeMnist(DigitRecipe):
    """Recipe of `conv-ae-mnist`: 28x28 to 14x14x32 to 7x7x64 to 32 and back."""

    name = "conv-ae-mnist"
    family = "autoencoders/convolutional"
    config = ConvolutionalConfig(input_shape=(1, 28, 28), channels=(32, 64), latent_width=32, hidden_width=512)
    stages = (
        GreyReconstruction[ConvolutionalAutoencoder](
            n_epochs=60, loss_of=squared_error, gain=1.2, batch_size=500, adamw_lr=2e-3
        ),
    )
    bars = {"test_mse": Bar(must=0.0036, aim=0.0030), **DigitRecipe.bars}  # noqa: RUF012
    default_for = ("reconstruct",)
    short_description = "handwritten digits, 784 to 32"
    summary = """
A convolutional autoencoder of handwritten digits: 28x28, 14x14 with 32 channels, 7x7 with 64, 512, **32**, and back.
Family: `autoencoders/convolutional`. Items: grey images 28x28 in [0, 1], white ink on black. Latent: 32 numbers.
"""
    procedure = """
MNIST training split, 60,000 images (LeCun, Bottou, Bengio, Haffner 1998). 60 epochs of 120 batches of 500, Muon at 0.03
for the linear layers and AdamW at 0.002 for the convolutions with a linear decay, half of each batch slightly rotated,
scaled, sheared and shifted; about 40 minutes on one CPU core.
"""


RECIPE = ConvAeMnist()
