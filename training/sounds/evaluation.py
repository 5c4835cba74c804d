"""Measure a codec of sounds through the tasks that the server runs."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from models.autoencoders.encodec.model import Encodec
from models.family import Model
from models.tasks import COMPRESS_SOUND, DECODE_SOUND, ENCODE_SOUND
from models.tasks.audio import CompressSoundRequest, DecodeSoundRequest, EncodeSoundRequest
from training.data.fsdd import SpokenDigits
from training.sounds.distance import log_mel_distance

N_AT_ONCE = 50
"""Number of sounds of a batch."""


def decoded_sounds(model: Model, sounds: Sequence[Tensor], bandwidth: float) -> list[Tensor]:
    """Return what the model makes of sounds `[1, T]` at a bandwidth in kbit/s, in the same shapes."""
    decoded: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(sounds), N_AT_ONCE):
            part = sounds[start : start + N_AT_ONCE]
            encoded = model.run(ENCODE_SOUND, [EncodeSoundRequest(sound=each, bandwidth=bandwidth) for each in part])
            results = model.run(DECODE_SOUND, [DecodeSoundRequest(encoded=each.encoded) for each in encoded])
            decoded += [each.sound for each in results]
    return decoded


def mean_distance(sounds: Sequence[Tensor], decoded: Sequence[Tensor]) -> float:
    """Return the mean log-mel distance of sounds `[1, T]` from what a codec made of them, in decibels."""
    pairs = zip(sounds, decoded, strict=True)
    distances = [log_mel_distance(sound[0], other[0]) for sound, other in pairs]
    return sum(distances) / len(distances)


def measure_rates(model: Model, sounds: Sequence[Tensor], bandwidth: float) -> dict[str, float]:
    """Return the kilobits for a second of all sounds together: of their codes, and of the whole streams."""
    config = cast("Encodec", model).config
    n_codebooks, n_bits = config.codebooks_at(bandwidth), (config.codebook_size - 1).bit_length()
    n_frames = sum(-(-sound.shape[1] // config.hop) for sound in sounds)
    seconds = sum(sound.shape[1] for sound in sounds) / config.sampling_rate
    with torch.inference_mode():
        requests = [CompressSoundRequest(sound=sound, bandwidth=bandwidth) for sound in sounds]
        n_bytes = sum(len(result.stream) for result in model.run(COMPRESS_SOUND, requests))
    return {
        "kbit_per_s": n_frames * n_codebooks * n_bits / seconds / 1000,
        "stream_kbit_per_s": 8 * n_bytes / seconds / 1000,
    }


def digit_accuracy(model: Model, recordings: SpokenDigits) -> float:
    """Return the share of the recordings whose digit the classifier names."""
    with torch.inference_mode():
        logits = cast("Encodec", model).class_logits_of(recordings.sounds)
    return float((logits.argmax(1) == recordings.digits).double().mean())
