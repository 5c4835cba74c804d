"""The tasks of sounds that do not ask for codes: `classify`, `denoise` and `project`."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from models.autoencoders.encodec.model import Encodec
from models.autoencoding.projection import project_groups
from models.errors import InvalidItems, Problem
from models.results import rank_labels
from models.seeding import seeded
from models.tasks.audio import (
    ClassifySoundRequest,
    DenoiseSoundRequest,
    DenoiseSoundResult,
    ProjectSoundsRequest,
)
from models.tasks.autoencoding import ProjectResult
from models.tasks.classification import ClassifyResult

MAX_SNR_DB = 100.0
"""Limit of a signal-to-noise ratio in decibels: that of equal sounds, and the negative of that of silence."""


def classify(model: Encodec, requests: Sequence[ClassifySoundRequest]) -> list[ClassifyResult]:
    """Return the labels of sounds, best first. Only models with labels serve this task."""
    logits = model.class_logits_of([request.sound for request in requests])
    return [
        rank_labels(model.labels, row, activation=request.function_to_apply, top_k=request.top_k)
        for request, row in zip(requests, logits.unbind(), strict=True)
    ]


def denoise(model: Encodec, requests: Sequence[DenoiseSoundRequest]) -> list[DenoiseSoundResult]:
    """Reconstruct noisy sounds. Where a request asks for it, add the noise first and measure how much is removed.

    Raises:
        InvalidItems: the model has no such bandwidth, or noise is asked for in a ratio to silence.
    """
    n_codebooks = [model.codebooks_at(request.bandwidth) for request in requests]
    noisy_sounds = [_add_noise(request) for request in requests]
    results = []
    denoised = model.sounds_of(model.codes_of(noisy_sounds, n_codebooks))
    for request, noisy, sound in zip(requests, noisy_sounds, denoised, strict=True):
        result = DenoiseSoundResult(sound=sound)
        if request.snr_db is not None:
            before, after = (snr_db(request.sound, other) for other in (noisy, sound))
            result = DenoiseSoundResult(sound=sound, noisy=noisy, snr_before=before, snr_after=after)
        results.append(result)
    return results


def project(model: Encodec, requests: Sequence[ProjectSoundsRequest]) -> list[ProjectResult]:
    """Project the sounds of each request to a plane that is fitted to their latents.

    Raises:
        InvalidItems: a request asks for the latents themselves, and these are not of width 2; or a latent overflows.
    """
    groups = [request.sounds for request in requests]
    return project_groups(model.latents_of, groups, [request.method for request in requests])


def snr_db(sound: Tensor, other: Tensor) -> float:
    """Return the ratio of a sound to the difference of another from it, in decibels within `MAX_SNR_DB`."""
    signal, noise = (each.double().square().sum().item() for each in (sound, other - sound))
    if noise == 0 or signal == 0:
        return MAX_SNR_DB if noise == 0 else -MAX_SNR_DB
    return max(-MAX_SNR_DB, min(MAX_SNR_DB, 10 * math.log10(signal / noise)))


def _add_noise(request: DenoiseSoundRequest) -> Tensor:
    """Return the sound of a request with the white noise that it asks for, in exactly this ratio."""
    if request.snr_db is None:
        return request.sound
    power = request.sound.double().square().mean().item()
    if power == 0:
        raise InvalidItems(Problem("the sound is silent; no noise has a ratio to it", parameter="snr_db"))
    noise = torch.randn(request.sound.shape, generator=seeded(request.seed, request.index))
    wanted = power / 10 ** (request.snr_db / 10)
    return request.sound + noise * math.sqrt(wanted / noise.double().square().mean().item())
