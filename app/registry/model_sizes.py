"""The sizes of a loaded model that decide how much memory a request to it needs."""

from dataclasses import dataclass
from math import prod
from typing import Protocol, runtime_checkable

from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.calibration import Calibration
from models.autoencoding.pictures import PictureAutoencoder
from models.checkpoint import Checkpoint
from models.family import Model
from models.generation.generator import Generator
from models.text.text_model import TextModel

FLOAT_BYTES = 4
"""Bytes of a number that a model computes with on a CPU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSizes:
    """Counts of numbers.

    Attributes:
        item: numbers of an item, as the model was trained; of texts, the most tokens; of pictures of several sizes,
            those of an example.
        step: numbers of one step of a series; of others those of the whole item.
        latent: numbers of a latent, or of the vector of a text.
        has_several_sizes: whether items have several sizes, so that a latent is the larger, the larger its item is.
        working_bytes: memory, in bytes, that the networks take for each number of an item that has several sizes.
        max_working_numbers: most numbers of an item that the networks compute at once.
        attention_maps: number of heads of all layers, each of which computes a map of all pairs of tokens.
        has_target: whether the model is an encoder-decoder, which reads a second text, or generates it.
        vocabulary: number of token ids.
        labels: number of classes.
        cache_bytes: memory of the machine, in bytes, that generation keeps of each token; 0 for models on GPUs, and for
            those that do not generate texts.
        max_rows: most sequences that are generated at the same time.
        sample_bytes: memory in bytes that a forward pass takes for each sample of a sound in time; 0 for other items.
        max_pass_samples: maximum number of these samples that a pass takes.
    """

    item: int
    step: int
    latent: int = 0
    has_several_sizes: bool = False
    working_bytes: int = 0
    max_working_numbers: int = 0
    attention_maps: int = 0
    has_target: bool = False
    vocabulary: int = 0
    labels: int = 0
    cache_bytes: int = 0
    max_rows: int = 1
    sample_bytes: int = 0
    max_pass_samples: int = 0

    def latent_of(self, n_numbers: int) -> int:
        """Return the numbers of the latent of an item with so many numbers."""
        return n_numbers * self.latent // self.item if self.has_several_sizes else self.latent

    def item_of(self, n_numbers: int) -> int:
        """Return the numbers of the item of a latent with so many numbers."""
        return n_numbers * self.item // self.latent if self.has_several_sizes else self.item


@runtime_checkable
class SoundNetwork(Protocol):
    """A model of sounds.

    Attributes:
        sample_bytes: about how much memory a forward pass takes for each sample in time, in bytes.
        max_pass_samples: maximum number of samples in time that a forward pass takes.
        latent_width: numbers of the latent of a whole sound.
        scores: names of the anomaly scores.
        calibration: measurements of normal sounds; None for models without them, which find no anomalies.
    """

    sample_bytes: int
    max_pass_samples: int
    latent_width: int
    scores: tuple[str, ...]
    calibration: Calibration | None


def sizes_of(checkpoint: Checkpoint, model: Model, max_rows: int) -> ModelSizes:
    """Return the sizes of a model of a checkpoint, which generates at most `max_rows` sequences at a time."""
    shape = checkpoint.item_shape
    n_labels = len(model.labels)
    if isinstance(model, PictureAutoencoder):
        return ModelSizes(
            item=prod(model.input_shape),
            step=prod(model.input_shape),
            latent=prod(model.latent_shape),
            has_several_sizes=True,
            working_bytes=model.bytes_per_pixel // model.input_shape[0],
            max_working_numbers=model.max_pixels_at_once * model.input_shape[0],
        )
    if isinstance(model, Autoencoder):
        step = prod(shape[1:]) if checkpoint.modality == "series" else prod(shape)
        return ModelSizes(item=prod(shape), step=step, latent=prod(model.latent_shape), labels=n_labels)
    if isinstance(model, SoundNetwork):
        return ModelSizes(
            item=prod(shape),
            step=prod(shape[1:]),
            latent=model.latent_width,
            labels=n_labels,
            sample_bytes=model.sample_bytes,
            max_pass_samples=model.max_pass_samples,
        )
    config = vars(checkpoint.config)
    n_layers = sum(number for name, number in config.items() if name.startswith("n_") and name.endswith("_layers"))
    n_heads = max((number for name, number in config.items() if name.endswith("_heads")), default=1)
    width = config.get("width", 0)
    caches_in_main_memory = isinstance(model, Generator) and model.device.type == "cpu"
    return ModelSizes(
        item=prod(shape),
        step=1,
        latent=max(width, getattr(checkpoint, "embedding_width", 0)),
        attention_maps=n_layers * n_heads,
        has_target="n_decoder_layers" in config,
        vocabulary=model.vocab_size if isinstance(model, TextModel) else 0,
        labels=n_labels,
        cache_bytes=2 * n_layers * width * FLOAT_BYTES if caches_in_main_memory else 0,
        max_rows=max_rows,
    )
