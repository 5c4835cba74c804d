"""The stage that trains the classifier of latents of whole recordings.

Shapes: `n` recordings, `T` samples of the longest, `L` width of a latent.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.autoencoders.encodec.model import Encodec
from training.data.files import DataFolder
from training.data.fsdd import PCM_SCALE, SpokenDigits
from training.errors import TrainingError
from training.recipe import Batch, Resources, Stage

GAINS_DB = (-6.0, -3.0, 0.0, 3.0, 6.0)
"""Changes of the volume at which each recording is encoded, in decibels."""
LABEL_SMOOTHING = 0.1


class SoundClassification(Stage[Encodec]):
    """Minimises the cross-entropy of the classifier, given latents of whole recordings. The networks stay as they are.

    Each recording is encoded once at each of several volumes; a step draws one of them for each recording.
    """

    name = "classification"
    autocast = False
    unit = "recordings"

    def __init__(
        self,
        *,
        recordings_of: Callable[[DataFolder], SpokenDigits],
        n_epochs: int,
        batch_size: int,
        lr: float,
        weight_decay: float,
    ) -> None:
        self.n_epochs, self.batch_size = n_epochs, batch_size
        self._recordings_of, self._lr, self._weight_decay = recordings_of, lr, weight_decay

    @override
    def items(self, resources: Resources) -> Batch:
        """Return samples of 16 bits `[n, T]` with zeros after them, their numbers, the digits and the places, `[n]`."""
        recordings = self._recordings_of(resources.data)
        lengths = torch.tensor([sound.shape[1] for sound in recordings.sounds])
        samples = torch.zeros(len(lengths), int(lengths.max()), dtype=torch.int16)
        for row, sound in zip(samples, recordings.sounds, strict=True):
            row[: sound.shape[1]] = sound[0] * PCM_SCALE
        return samples, lengths, recordings.digits, torch.arange(len(lengths))

    @override
    @torch.no_grad()
    def begin(self, model: Encodec, items: Batch) -> nn.Module:
        """Encode the recordings, `[volumes, n, L]`."""
        samples, lengths = items[0].float() / PCM_SCALE, items[1].tolist()
        sounds = [row[None, :length] for row, length in zip(samples, lengths, strict=True)]
        latents = [model.latents_of([10 ** (gain / 20) * sound for sound in sounds]) for gain in GAINS_DB]
        companion = nn.Module()
        companion.register_buffer("latents", torch.stack(latents))
        return companion

    @override
    def optimisers(self, model: Encodec) -> list[torch.optim.Optimizer]:
        """Return AdamW for the classifier.

        Raises:
            TrainingError: the model has none.
        """
        if model.classifier is None:
            raise TrainingError("the model was built without labels; there is no classifier to train")
        return [torch.optim.AdamW(model.classifier.parameters(), lr=self._lr, weight_decay=self._weight_decay)]

    @override
    def loss(self, model: Encodec, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the cross-entropy of the digits, with smoothed labels."""
        _, _, digits, places = batch
        latents = companion.get_buffer("latents")
        volumes = torch.randint(len(latents), places.shape, generator=generator).to(places.device)
        if model.classifier is None:
            raise TrainingError("the model was built without labels; there is no classifier to train")
        logits = model.classifier(latents[volumes, places])
        return functional.cross_entropy(logits, digits, label_smoothing=LABEL_SMOOTHING)
