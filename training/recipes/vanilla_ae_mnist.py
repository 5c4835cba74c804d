"""The fully connected autoencoder of MNIST digits, latent 32.

Muon needs about a quarter of AdamW's epochs on this network (docs/performance.md).
"""

from models.autoencoders.vanilla.config import VanillaConfig
from models.autoencoders.vanilla.model import VanillaAutoencoder
from models.autoencoders.vanilla.objective import squared_error
from training.digits import DigitRecipe
from training.recipe import Bar
from training.stages import GreyReconstruction


class VanillaAeMnist(DigitRecipe):
    """Recipe of `vanilla-ae-mnist`: layers of 784-384-192-96-32 and back."""

    name = "vanilla-ae-mnist"
    family = "autoencoders/vanilla"
    config = VanillaConfig(input_shape=(1, 28, 28), hidden_widths=(384, 192, 96), latent_width=32)
    stages = (GreyReconstruction[VanillaAutoencoder](n_epochs=100, loss_of=squared_error, gain=1.2),)
    bars = {"test_mse": Bar(must=0.0042, aim=0.0036), **DigitRecipe.bars}  # noqa: RUF012
    short_description = "handwritten digits, 784 to 32"
    summary = """
A fully connected autoencoder of handwritten digits: 784-384-192-96-**32**-96-192-384-784, GELU, sigmoid output.
Family: `autoencoders/vanilla`. Items: grey images 28x28 in [0, 1], white ink on black. Latent: 32 numbers.
"""
    procedure = """
MNIST training split, 60,000 images (LeCun, Bottou, Bengio, Haffner 1998). 100 epochs of 60 batches of 1,000, Muon at
0.03 with a linear decay, half of each batch slightly rotated, scaled, sheared and shifted; about 3 minutes on two CPU
cores. Optimiser and augmentation were chosen on the last 5,000 training images.
"""


RECIPE = VanillaAeMnist()
