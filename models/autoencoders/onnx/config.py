"""Hyperparameters of the models that are ONNX graphs."""

from dataclasses import dataclass
from math import prod

from models.family import MAX_SIZE, FamilyConfig


@dataclass(frozen=True, kw_only=True)
class OnnxConfig(FamilyConfig):
    """The shapes between the two graphs, and the sizes of their files.

    Attributes:
        input_shape: shape of an item.
        latent_shape: shape of a latent.
        encoder_bytes: size of the encoder's ONNX file.
        decoder_bytes: size of the decoder's ONNX file.

    Raises:
        ConfigError: a size or a dimension is not positive, or a shape has no dimension or too many elements.
    """

    input_shape: tuple[int, ...]
    latent_shape: tuple[int, ...]
    encoder_bytes: int
    decoder_bytes: int

    def __post_init__(self) -> None:
        for name in ("input_shape", "latent_shape"):
            shape = getattr(self, name)
            self.require(bool(shape) and min(shape) > 0, name, "positive in every dimension")
            self.require(prod(shape) <= MAX_SIZE, name, f"a shape of at most {MAX_SIZE} elements")
        self.require(self.encoder_bytes > 0, "encoder_bytes", "positive")
        self.require(self.decoder_bytes > 0, "decoder_bytes", "positive")
