"""The stage that trains the classifier of whole recordings.

Shapes: `n` recordings, `T` samples of the longest, `D` width of a frame, `F` frames of the longest.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from typing_extensions import override

from models.autoencoders.encodec.classifier import SoundClassifier
from models.autoencoders.encodec.model import Encodec
from training.data.files import DataFolder
from training.data.fsdd import PCM_SCALE, SpokenDigits
from training.errors import TrainingError
from training.recipe import Batch, Resources, Stage

GAINS_DB = (-6.0, 0.0, 6.0)
"""Changes of the volume at which each recording is encoded, in decibels."""
LABEL_SMOOTHING = 0.1
MAX_STRETCH = 0.2
"""Largest share by which frames are stretched or squeezed in time."""
NOISE = 0.5
"""Standard deviation of the noise that is added to frames, as a share of that of the frames of all recordings."""


class SoundClassification(Stage[Encodec]):
    """Minimises the cross-entropy of the classifier, given frames of whole recordings. The networks stay as they are.

    Each recording is encoded once at each of several volumes; a step draws one of them for each recording, stretches
    all of them alike in time, and adds noise to the frames.
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
        """Encode the recordings: frames `[volumes, n, D, F]` with zeros after them, and their numbers `[n]`."""
        samples, lengths = items[0].float() / PCM_SCALE, items[1].tolist()
        sounds = [row[None, :length] for row, length in zip(samples, lengths, strict=True)]
        volumes = [model.frames_of([10 ** (gain / 20) * sound for sound in sounds]) for gain in GAINS_DB]
        together = [pad_sequence([each.T for each in frames], batch_first=True) for frames in volumes]  # (n, F, D)
        companion = nn.Module()
        buffers = {
            "frames": torch.stack(together).transpose(2, 3),
            "n_frames": torch.tensor([each.shape[1] for each in volumes[0]]),
            "noise": NOISE * torch.cat([each for frames in volumes for each in frames], 1).std(1, keepdim=True),
        }
        for name, tensor in buffers.items():  # which a resumed run computes anew
            companion.register_buffer(name, tensor, persistent=False)
        return companion

    @override
    def optimisers(self, model: Encodec, companion: nn.Module) -> list[torch.optim.Optimizer]:
        """Return AdamW for the classifier.

        Raises:
            TrainingError: the model has none.
        """
        return [torch.optim.AdamW(_classifier(model).parameters(), lr=self._lr, weight_decay=self._weight_decay)]

    @override
    def loss(self, model: Encodec, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the cross-entropy of the digits, with smoothed labels."""
        _, _, digits, places = batch
        every, n_frames = companion.get_buffer("frames"), companion.get_buffer("n_frames")[places]
        volumes = torch.randint(len(every), places.shape, generator=generator).to(places.device)
        frames = every[volumes, places][:, :, : int(n_frames.max())]
        stretch = 1 + MAX_STRETCH * (2 * torch.rand((), generator=generator).item() - 1)
        stretched = functional.interpolate(frames, scale_factor=stretch, mode="linear")
        noise = torch.randn(stretched.shape, generator=generator).to(frames.device) * companion.get_buffer("noise")
        logits = _classifier(model)(stretched + noise, (n_frames * stretch).long().clamp(1, stretched.shape[2]))
        return functional.cross_entropy(logits, digits, label_smoothing=LABEL_SMOOTHING)


def _classifier(model: Encodec) -> SoundClassifier:
    if model.classifier is None:
        raise TrainingError("the model was built without labels; there is no classifier to train")
    return model.classifier
