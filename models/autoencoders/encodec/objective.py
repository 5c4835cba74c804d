"""The losses of the paper, section 3.4, without the adversarial ones.

Shapes: `B` batch, `T` samples, `W` windows of a spectrogram, `M` bands, `D` width of a frame, `F` frames.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

FLOOR = 1e-8
"""What is added to the power of a band, relative to a sine of full scale: -80 dB."""
DB_PER_BEL = 10.0


@dataclass(frozen=True, kw_only=True)
class MelSettings:
    """How a spectrogram is computed.

    Attributes:
        sampling_rate: samples of a second.
        window: length of a window in samples.
        hop: samples from one window to the next.
        n_fft: length of the Fourier transform in samples, at least that of a window.
        n_bands: number of bands from 0 Hz to half the sampling rate.
    """

    sampling_rate: int
    window: int
    hop: int
    n_fft: int
    n_bands: int


class LogMel(nn.Module):
    """The power of sounds in bands that are equally wide on the mel scale, in decibels.

    The power of a frequency is relative to that of a sine of full scale, so that a sine has about 0 dB, and up to 5 dB
    where a band has several frequencies of a window that zeros lengthen. Silence has -80 dB (`FLOOR`).
    """

    window: Tensor
    filters: Tensor

    def __init__(self, settings: MelSettings) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("window", torch.hann_window(settings.window), persistent=False)
        filters = mel_filters(settings.sampling_rate, settings.n_fft, settings.n_bands)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, sounds: Tensor) -> Tensor:
        """Map sounds `[B, T]` with the full scale of -1 to 1 to decibels, `[B, M, W]`; W is 1 + T / hop."""
        settings = self.settings
        spectrum = torch.stft(
            sounds,
            settings.n_fft,
            settings.hop,
            settings.window,
            self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        amplitude_of_sine = self.window.sum() / 2
        power = (spectrum.real.square() + spectrum.imag.square()) / amplitude_of_sine.square()
        return DB_PER_BEL * (self.filters.t() @ power + FLOOR).log10()


def mel_filters(sampling_rate: int, n_fft: int, n_bands: int) -> Tensor:
    """Return the weight of each frequency of a Fourier transform in each band, `[n_fft / 2 + 1, M]`.

    A band is a triangle with a height of 1 that reaches to the centres of its neighbours on the mel scale,
    2595 log10(1 + f / 700).

    Source: Young et al., The HTK Book, version 3.4, section 5.4.
    """
    frequencies = torch.linspace(0, sampling_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    highest = 2595 * torch.log10(torch.tensor(1 + sampling_rate / 2 / 700, dtype=torch.float64))
    mels = torch.linspace(0, float(highest), n_bands + 2, dtype=torch.float64)
    corners = 700 * (10 ** (mels / 2595) - 1)
    rising = (frequencies[:, None] - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies[:, None]) / (corners[2:] - corners[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()


class SpectralLoss(nn.Module):
    """The distance of the spectrograms of two sounds, the mean over several lengths of windows.

    The distance of two spectrograms is the mean absolute difference plus `square_weight` times the mean squared
    difference, in bels.

    Source: Defossez et al. 2022, equation 2.
    """

    def __init__(self, settings: tuple[MelSettings, ...], square_weight: float = 1.0) -> None:
        super().__init__()
        self.square_weight = square_weight
        self.spectrograms = nn.ModuleList(map(LogMel, settings))

    def forward(self, reconstructions: Tensor, sounds: Tensor) -> Tensor:
        """Compare sounds `[B, T]`, and return a scalar."""
        total = torch.zeros((), device=sounds.device)
        for spectrogram in self.spectrograms:
            difference = (spectrogram(reconstructions) - spectrogram(sounds)) / DB_PER_BEL
            total = total + difference.abs().mean() + self.square_weight * difference.square().mean()
        return total / len(self.spectrograms)


def time_loss(reconstructions: Tensor, sounds: Tensor) -> Tensor:
    """Return the mean absolute difference of the samples of sounds `[B, T]`: a scalar (equation 1)."""
    return (reconstructions - sounds).abs().mean()


def commitment_loss(errors: Tensor, n_codebooks: Tensor) -> Tensor:
    """Return the mean squared error of frames, summed over the codebooks in use: a scalar (equation 4).

    Args:
        errors: what each codebook and those before it have left of the frames, `[B, K, F, D]`.
        n_codebooks: the number of codebooks in use for each sound, `[B]`.
    """
    is_used = torch.arange(errors.shape[1], device=errors.device) < n_codebooks[:, None]
    squares = errors.square().mean((2, 3))
    return (squares * is_used).sum(1).mean()
