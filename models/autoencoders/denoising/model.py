"""The network: an autoencoder that restores corrupted items, and a classifier that starts as a copy of its encoder.

Shapes: `B` batch, `X` elements of an item, `Z` latent width, `C` classes.
"""

from math import inf, prod

from torch import nn

from models.autoencoders.denoising.config import DenoisingConfig
from models.autoencoding.autoencoder import FixedShapeAutoencoder
from models.layers.encoder_classifier import EncoderClassifier
from models.layers.feedforward import FeedForward


class DenoisingAutoencoder(FixedShapeAutoencoder):
    """z = f(x~), x' = sigmoid(g(z)) or g(z), where x~ is the corrupted item and x' the restored one.

    Source: Vincent et al. 2008, section 2.
    """

    classifier: EncoderClassifier | None

    def __init__(self, config: DenoisingConfig) -> None:
        super().__init__()
        self.labels = config.labels
        self.input_shape = config.input_shape
        self.latent_shape = (config.latent_width,)
        widths = (prod(config.input_shape), *config.hidden_widths, config.latent_width)
        self.encoder = nn.Sequential(nn.Flatten(), FeedForward(widths, "gelu"))
        is_linear = config.output == "linear"
        self.value_range = (-inf, inf) if is_linear else (0.0, 1.0)
        output = nn.Identity() if is_linear else nn.Sigmoid()
        self.decoder = nn.Sequential(FeedForward(widths[::-1], "gelu"), output, nn.Unflatten(1, config.input_shape))
        n_classes = len(config.labels)
        self.classifier = EncoderClassifier(self.encoder, config.latent_width, n_classes) if n_classes else None
