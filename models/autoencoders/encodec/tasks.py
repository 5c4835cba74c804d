"""The tasks of sounds, of which `encode`, `decode`, `reconstruct`, `compress` and `decompress` are answered here."""

from collections.abc import Sequence

from torch import Tensor

from models.autoencoders.encodec.analysis import classify, denoise, project
from models.autoencoders.encodec.anomalies import detect_anomalies
from models.autoencoders.encodec.coding import pack, unpack
from models.autoencoders.encodec.model import Encodec
from models.family import TaskFunction
from models.ops.cooperation import begin_part
from models.tasks import (
    CLASSIFY_SOUND,
    COMPRESS_SOUND,
    DECODE_SOUND,
    DECOMPRESS_SOUND,
    DENOISE_SOUND,
    DETECT_SOUND_ANOMALIES,
    ENCODE_SOUND,
    PROJECT_SOUNDS,
    RECONSTRUCT_SOUND,
    Task,
)
from models.tasks.audio import (
    CompressSoundRequest,
    CompressSoundResult,
    DecodeSoundRequest,
    DecodeSoundResult,
    DecompressSoundRequest,
    DecompressSoundResult,
    EncodeSoundRequest,
    EncodeSoundResult,
    ReconstructSoundRequest,
    ReconstructSoundResult,
    SoundCodes,
    SoundCodingRequest,
)

PCM_BITS = 16
"""Bits of a sample of uncompressed sound, as on a compact disc."""


def encode(model: Encodec, requests: Sequence[EncodeSoundRequest]) -> list[EncodeSoundResult]:
    """Map sounds to codes at the bandwidths of the requests.

    Raises:
        InvalidItems: the model has no such bandwidth.
    """
    least = model.config.bandwidths[0]
    bandwidths = [least if request.bandwidth is None else request.bandwidth for request in requests]
    encoded = _codes(model, requests)
    return [EncodeSoundResult(encoded=e, bandwidth=b) for e, b in zip(encoded, bandwidths, strict=True)]


def decode(model: Encodec, requests: Sequence[DecodeSoundRequest]) -> list[DecodeSoundResult]:
    """Map codes to sounds.

    Raises:
        InvalidItems: the codes are not those of a sound of the model.
    """
    sounds = model.sounds_of([request.encoded for request in requests])
    return [DecodeSoundResult(sound=sound) for sound in sounds]


def reconstruct(model: Encodec, requests: Sequence[ReconstructSoundRequest]) -> list[ReconstructSoundResult]:
    """Map sounds to codes and back, and measure the errors.

    Raises:
        InvalidItems: the model has no such bandwidth.
    """
    sounds = model.sounds_of(_codes(model, requests))
    return [_compare(request.sound, sound) for request, sound in zip(requests, sounds, strict=True)]


def compress(model: Encodec, requests: Sequence[CompressSoundRequest]) -> list[CompressSoundResult]:
    """Compress each sound into a stream at the bandwidth of its request.

    Raises:
        InvalidItems: the model has no such bandwidth.
    """
    results = []
    for request, encoded in zip(requests, _codes(model, requests), strict=True):
        begin_part()
        stream = pack(encoded, model.config, model.digest)
        n_bits, n_samples = 8 * len(stream), request.sound.numel()
        seconds = encoded.length / model.config.sampling_rate
        ratio = PCM_BITS * n_samples / n_bits
        results.append(CompressSoundResult(stream=stream, kbit_per_s=n_bits / seconds / 1000, ratio=ratio))
    return results


def decompress(model: Encodec, requests: Sequence[DecompressSoundRequest]) -> list[DecompressSoundResult]:
    """Decompress streams that the same model has made, one by one, so that a sound does not depend on the others.

    Raises:
        InvalidItems: a stream is of another model, is damaged, or has more samples than the request says.
    """
    results = []
    for request in requests:
        begin_part()
        encoded = unpack(request.stream, model.config, model.digest, request.length)
        (sound,) = model.sounds_of([encoded])
        results.append(DecompressSoundResult(sound=sound))
    return results


def _codes(model: Encodec, requests: Sequence[SoundCodingRequest]) -> list[SoundCodes]:
    n_codebooks = [model.codebooks_at(request.bandwidth) for request in requests]
    return model.codes_of([request.sound for request in requests], n_codebooks)


def _compare(sound: Tensor, reconstruction: Tensor) -> ReconstructSoundResult:
    error = reconstruction.double() - sound
    mse, mae = error.square().mean().item(), error.abs().mean().item()
    return ReconstructSoundResult(sound=reconstruction, mse=mse, mae=mae)


SOUND_TASKS: dict[Task, TaskFunction] = {
    ENCODE_SOUND: encode,
    DECODE_SOUND: decode,
    RECONSTRUCT_SOUND: reconstruct,
    COMPRESS_SOUND: compress,
    DECOMPRESS_SOUND: decompress,
    DENOISE_SOUND: denoise,
    DETECT_SOUND_ANOMALIES: detect_anomalies,
    PROJECT_SOUNDS: project,
}
"""The tasks of every model of sounds. Checkpoints without a calibration do not detect anomalies."""
SOUND_CLASSIFICATION: dict[Task, TaskFunction] = {CLASSIFY_SOUND: classify}
"""Further task of models with classes."""
