"""The log-mel distance of two sounds, by which codecs are compared.

Shapes: `T` samples of the original, `S` delays.
"""

from torch import Tensor
from torch.nn import functional

from models.autoencoders.encodec.objective import LogMel, MelSettings
from training.data.fsdd import SAMPLING_RATE

SPEECH = MelSettings(sampling_rate=SAMPLING_RATE, window=200, hop=80, n_fft=512, n_bands=64)
"""Windows of 25 ms, one every 10 ms, and 64 bands."""
MAX_DELAY_MS = 60
"""Largest delay of a codec that is looked for, in milliseconds."""


def log_mel_distance(sound: Tensor, decoded: Tensor) -> float:
    """Return the mean absolute difference of the log-mel spectrograms of two sounds at 8 kHz, in decibels.

    Codecs delay a sound. The distance is the least over delays of 0 to `MAX_DELAY_MS` in whole milliseconds, for every
    codec and each recording, so that no codec is worse for its delay. Samples that are missing at the end are silence.

    Args:
        sound: the original, `[T]`, with the full scale of -1 to 1.
        decoded: what a codec made of it, of any length.
    """
    step = SAMPLING_RATE // 1000
    n_samples = len(sound) + MAX_DELAY_MS * step
    padded = functional.pad(decoded[:n_samples], (0, max(0, n_samples - len(decoded))))
    delayed = padded.unfold(0, len(sound), step)  # (S, T)
    spectrogram = LogMel(SPEECH)
    differences = spectrogram(delayed) - spectrogram(sound[None])
    return float(differences.abs().mean((1, 2)).min())
