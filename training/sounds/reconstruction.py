"""The stages that train a codec of sounds: first without codebooks, then with them.

Shapes: `B` sounds of a batch, `T` samples of each, `F` frames, `D` width of a frame.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.autoencoders.encodec.classifier import EPSILON
from models.autoencoders.encodec.config import EncodecConfig
from models.autoencoders.encodec.model import Encodec
from models.autoencoders.encodec.objective import MelSettings, SpectralLoss, commitment_loss, time_loss
from models.layers.feedforward import FeedForward
from training.data.files import DataFolder
from training.data.fsdd import DIGITS, SpokenDigits
from training.recipe import Batch, Resources, Stage
from training.sounds.codebooks import CodebookAverages, quantise, residuals_before

WINDOWS = (64, 128, 256, 512, 1024)
"""Lengths in samples of the windows of the spectrograms that are compared."""
SAMPLES_PER_BAND = 8
"""Samples of a window for each of its bands."""
MAX_BANDS = 64
N_CLUSTERED_FRAMES = 8192
"""Number of frames from which the first codebooks are made."""
LABEL_SMOOTHING = 0.1
N_DIGITS = len(DIGITS)
HEAD_WIDTH = 64
"""Width of the hidden layer of the head that tells the digit."""
MAX_GAIN_DB = 6.0
"""Largest change of the volume of a training sound, in decibels."""


class SoundReconstruction(Stage[Encodec]):
    """Minimises the distance of sounds from their reconstructions, in time and in spectrograms.

    The recordings lie one after another. An item is a part of them, twice as long as the sounds that are trained on;
    these begin at a random place of it, and their volume and sign are changed at random. The volume must not be
    normalised by the model.

    So that frames tell what is said, the cross-entropy of a head that is trained with them is minimised as well. It is
    given the means and deviations of the frames of the recording that has most of them in a sound.

    Attributes:
        has_codebooks: whether the frames are quantised. If so, the number of codebooks of each sound is drawn from
            those of the model's bandwidths; half of the sounds have all of them (Zeghidour et al. 2021, section III-C).

    Spectrograms of the `WINDOWS` are compared, and those of `also_compared`.
    """

    autocast = False
    unit = "seconds of sound"
    has_codebooks: bool

    def __init__(
        self,
        *,
        name: str,
        recordings_of: Callable[[DataFolder], SpokenDigits],
        has_codebooks: bool,
        n_samples: int,
        sampling_rate: int,
        n_epochs: int,
        batch_size: int,
        lr: float,
        time_weight: float,
        class_weight: float,
        square_weight: float = 1.0,
        also_compared: tuple[MelSettings, ...] = (),
        commitment_weight: float = 0.25,
        max_gradient_norm: float = 5.0,
    ) -> None:
        self.name, self.n_epochs, self.batch_size = name, n_epochs, batch_size
        self.has_codebooks, self.max_gradient_norm = has_codebooks, max_gradient_norm
        self.units_per_item = n_samples / sampling_rate
        self._recordings_of, self._n_samples, self._lr = recordings_of, n_samples, lr
        self._time_weight, self._class_weight, self._commitment_weight = time_weight, class_weight, commitment_weight
        compared = (
            MelSettings(
                sampling_rate=sampling_rate,
                window=window,
                hop=window // 4,
                n_fft=window,
                n_bands=min(window // SAMPLES_PER_BAND, MAX_BANDS),
            )
            for window in WINDOWS
        )
        self._spectral_loss = SpectralLoss((*compared, *also_compared), square_weight)

    @override
    def items(self, resources: Resources) -> Batch:
        """Return parts `[n, 2 T]` that begin every T samples: the samples, and which recording and digit they are of.

        The latter are `N_DIGITS` times the number of the recording, plus the digit, in int32.
        """
        recordings = self._recordings_of(resources.data)
        samples = torch.cat([sound[0] for sound in recordings.sounds])
        owners = N_DIGITS * torch.arange(len(recordings.digits)) + recordings.digits
        lengths = torch.tensor([sound.shape[1] for sound in recordings.sounds])
        repeated = owners.int().repeat_interleave(lengths)
        return tuple(each.unfold(0, 2 * self._n_samples, self._n_samples) for each in (samples, repeated))

    @override
    @torch.no_grad()
    def begin(self, model: Encodec, items: Batch) -> nn.Module:
        """Make the codebooks from the frames of random sounds, where the stage has them."""
        companion = _Companion(model.config)
        if not self.has_codebooks:
            return companion
        n_frames = self._n_samples // model.config.hop
        sounds = items[0][torch.randperm(len(items[0]))[: -(-N_CLUSTERED_FRAMES // n_frames)], : self._n_samples]
        frames = torch.cat([model.encoder(part[:, None]) for part in torch.split(sounds, self.batch_size)])
        companion.averages.to(frames.device)
        vectors = frames.transpose(1, 2).flatten(0, 1)
        companion.averages.initialise(model.quantiser, vectors, self.batch_size * n_frames)
        return companion

    @override
    def optimisers(self, model: Encodec, companion: nn.Module) -> list[torch.optim.Optimizer]:
        """Return Adam for the networks and the head; the codebooks are moving averages."""
        head = cast("_Companion", companion).head
        parameters = [p for part in (model.encoder, model.decoder, head) for p in part.parameters()]
        return [torch.optim.AdamW(parameters, lr=self._lr, betas=(0.9, 0.99), weight_decay=0.0)]

    @override
    def learning_rate(self, progress: float) -> float:
        """Return the factor on the rate, which stays at its peak in the stage without codebooks."""
        return super().learning_rate(progress) if self.has_codebooks else min(1.0, progress / 0.02)

    @override
    def loss(self, model: Encodec, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the weighted sum of the losses, and move the codebooks."""
        sounds, owners = self._vary(batch, generator)
        frames: Tensor = model.encoder(sounds[:, None])
        own = cast("_Companion", companion)
        total = self._class_weight * class_loss(own.head, frames, owners[:, model.config.hop // 2 :: model.config.hop])
        if not self.has_codebooks:
            return total + self._distance(model.decoder(frames)[:, 0], sounds)
        known = torch.tensor([model.config.codebooks_at(bandwidth) for bandwidth in model.config.bandwidths])
        n_codebooks = known[torch.randint(len(known), (len(sounds),), generator=generator)]
        n_codebooks[::2] = model.config.n_codebooks
        quantised, errors, indices = quantise(model.quantiser, frames, n_codebooks)
        total = total + self._distance(model.decoder(quantised)[:, 0], sounds)
        total = total + self._commitment_weight * commitment_loss(errors, n_codebooks)
        flat = indices.transpose(0, 1).flatten(1)
        own.averages.update(model.quantiser, residuals_before(errors, frames), flat, generator)
        return total

    def _vary(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Cut sounds `[B, T]` out of parts `[B, 2 T]`, and change their volume and their sign.

        Also return which recordings and digits their samples are of, `[B, T]`.
        """
        parts, owners = batch
        starts = torch.randint(self._n_samples + 1, (len(parts), 1), generator=generator)
        places = (starts + torch.arange(self._n_samples)).to(parts.device)
        gains_db = MAX_GAIN_DB * (2 * torch.rand(len(parts), 1, generator=generator) - 1)
        signs = 2.0 * torch.randint(2, (len(parts), 1), generator=generator) - 1
        sounds = parts.gather(1, places) * (signs * 10 ** (gains_db / 20)).to(parts.device)
        return sounds, owners.gather(1, places)

    def _distance(self, reconstructions: Tensor, sounds: Tensor) -> Tensor:
        own = reconstructions[:, : sounds.shape[1]]
        spectral: Tensor = self._spectral_loss(own, sounds)
        return spectral + self._time_weight * time_loss(own, sounds)


class _Companion(nn.Module):
    """The moving averages of the codebooks, and a head that tells the digit by what `class_loss` gives it."""

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__()
        self.averages = CodebookAverages(config)
        self.head = FeedForward((2 * config.latent_width, HEAD_WIDTH, N_DIGITS), "gelu")


def class_loss(head: nn.Module, frames: Tensor, owners: Tensor) -> Tensor:
    """Return the cross-entropy of a head's digits, given the frames `[B, D, F]` of one recording of each sound.

    `owners` `[B, F]` tells the recordings and digits of the frames; see `SoundReconstruction.items`. The head is given
    the means and the standard deviations of the frames, `[B, 2 D]`.
    """
    chosen = owners.mode(1).values
    is_own = (owners == chosen[:, None]).float().unsqueeze(1)  # (B, 1, F)
    n_own = is_own.sum(2)
    means = (frames * is_own).sum(2) / n_own
    squares = ((frames - means[:, :, None]) * is_own).square().sum(2) / n_own
    latents = torch.cat([means, (squares + EPSILON).sqrt()], 1)
    logits, digits = head(latents), (chosen % N_DIGITS).long()
    return functional.cross_entropy(logits, digits, label_smoothing=LABEL_SMOOTHING)
