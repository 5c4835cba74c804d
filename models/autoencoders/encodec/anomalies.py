"""The task `detect_anomalies` of sounds: how far a sound is from what the model makes of it.

Shapes: `C` channels, `T` samples, `F` frames of `hop` samples, `N` bins of a spectrum.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from models.autoencoders.encodec.model import Encodec
from models.autoencoding.anomalies import compare_with_normal
from models.errors import InvalidItems, Problem
from models.tasks.audio import DetectSoundAnomaliesRequest
from models.tasks.autoencoding import DetectAnomaliesResult

FLOOR = 1e-8
"""Power of what counts as silence, relative to a sine of the full scale: -80 dB."""
MIN_WINDOW = 16
"""Least number of samples of a window of a spectrum."""


def detect_anomalies(model: Encodec, requests: Sequence[DetectSoundAnomaliesRequest]) -> list[DetectAnomaliesResult]:
    """Compute the anomaly scores of sounds and compare them with those of held-out normal sounds.

    Raises:
        InvalidItems: the model has no calibration or not the score that a request names, or too few held-out scores to
            promise a rate of false alarms.
    """
    if model.calibration is None:
        raise InvalidItems(Problem("this model has no scores of normal sounds; `manifold calibrate` measures them"))
    names = [request.score or model.scores[0] for request in requests]
    if unknown := next((name for name in names if name not in model.scores), None):
        detail = f"score is {unknown!r}; this model has {', '.join(model.scores)}"
        raise InvalidItems(Problem(detail, parameter="score"))
    results: dict[int, DetectAnomaliesResult] = {}
    restored = _reconstructions(model, [request.sound for request in requests])
    for score in dict.fromkeys(names):
        own = [i for i, name in enumerate(names) if name == score]
        contributions = [_MEASURES[score](requests[i].sound, restored[i], model.config.hop) for i in own]
        chosen = [requests[i] for i in own]
        compared = compare_with_normal(chosen, score, contributions, model.calibration, by_step=False)
        results |= dict(zip(own, compared, strict=True))
    return [results[i] for i in range(len(requests))]


def anomaly_scores(model: Encodec, sounds: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the anomaly scores of sounds `[C, T]` by name, each `[n]` in float32."""
    restored = _reconstructions(model, sounds)
    scores: dict[str, Tensor] = {}
    for name in model.scores:
        parts = [_MEASURES[name](*pair, model.config.hop) for pair in zip(sounds, restored, strict=True)]
        scores[name] = torch.stack([part.double().sum() for part in parts]).float()
    return scores


def _reconstructions(model: Encodec, sounds: Sequence[Tensor]) -> list[Tensor]:
    """Return what the model makes of sounds at its least bandwidth, which shows best what it does not know."""
    return model.sounds_of(model.codes_of(sounds, [model.codebooks_at(None)] * len(sounds)))


def spectral_distance(sound: Tensor, restored: Tensor, hop: int) -> Tensor:
    """Return the contributions of frames, `[F]`, to the mean absolute difference of two sounds' spectra in decibels."""
    spectra = [_spectra(each, hop) for each in (sound, restored)]
    distances = (spectra[1] - spectra[0]).abs().mean((0, 1))  # (1 + T // hop,)
    n_frames = -(-sound.shape[1] // hop)
    return distances[:n_frames] / n_frames


def squared_error(sound: Tensor, restored: Tensor, hop: int) -> Tensor:
    """Return the contributions of frames, `[F]`, to the mean squared error of the samples."""
    return _by_frame((restored - sound).square(), hop)


def absolute_error(sound: Tensor, restored: Tensor, hop: int) -> Tensor:
    """Return the contributions of frames, `[F]`, to the mean absolute error of the samples."""
    return _by_frame((restored - sound).abs(), hop)


def _by_frame(errors: Tensor, hop: int) -> Tensor:
    """Return the sums of `[C, T]` over the samples of each frame, `[F]`, divided by the number of all samples."""
    padded = functional.pad(errors.sum(0), (0, -errors.shape[1] % hop))
    return padded.view(-1, hop).sum(1) / errors.numel()


def _spectra(sound: Tensor, hop: int) -> Tensor:
    """Return the short-time spectra of a sound in decibels, `[C, N, 1 + T // hop]`; 0 dB is a sine of the full scale.

    The window is a Hann window in the middle of which a frame begins. It is the shortest one that holds two frames and
    whose length is a power of 2.
    """
    length = max(MIN_WINDOW, 1 << (2 * hop - 1).bit_length())
    window = torch.hann_window(length)
    spectra = torch.stft(sound, length, hop, window=window, center=True, pad_mode="constant", return_complex=True)
    power = spectra.abs().square() * (2 / window.sum()) ** 2
    return 10 * (power + FLOOR).log10()


_MEASURES: Mapping[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "spectral": spectral_distance,
    "mse": squared_error,
    "mae": absolute_error,
}
"""The function that computes the contributions to each score."""
