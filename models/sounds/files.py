"""Files of sound: WAV, FLAC and Ogg as samples of a model's sampling rate and channels, and samples as such files.

They are read and written by libsndfile, and sampling rates are converted by the SoX resampler. Both are installed by
the extra `audio`.

Shapes: `T` samples in time, `C` channels.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidItems, Problem, UndecodableItems

Floats32 = NDArray[np.float32]
SoundFormat = Literal["wav", "flac"]
"""A format in which sounds are written."""

PACKAGES = ("soundfile", "soxr")
INSTALLATION = "soundfile and soxr: pip install -c constraints.txt -e '.[audio]'"
"""What reads files of sound, and how to install it, as the end of an error."""
BLOCK_SAMPLES = 2**16
"""Number of samples of all channels that are read at once."""
MAX_FILE_CHANNELS = 16
MIN_RATE, MAX_RATE = 1_000, 768_000
"""Limits of the sampling rate of a file."""
MAX_RATIO = 64
"""Maximum factor by which a sampling rate is raised or lowered."""
UNKNOWN_FRAMES = 2**62
"""Number of samples from which on a header does not tell the length, as libsndfile reports it."""
PCM = "PCM_16"
"""The encoding of samples in files that are written: integers of 16 bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundForm:
    """The form into which a sound is brought.

    Attributes:
        n_channels: number of channels; a single one is copied, and several are averaged to one.
        sampling_rate: samples of a second.
        max_samples: maximum number of samples in time; a longer sound is refused.
    """

    n_channels: int
    sampling_rate: int
    max_samples: int


def has_sound_files() -> bool:
    """Return whether the libraries that read and write files of sound are installed."""
    return all(find_spec(package) is not None for package in PACKAGES)


def is_sound_file(data: bytes) -> bool:
    """Return whether bytes begin like a file of one of the formats that are read, as at least 12 of them tell."""
    is_wav = data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE"
    return is_wav or data.startswith((b"fLaC", b"OggS"))


def read_sound(data: bytes, form: SoundForm) -> Floats32:
    """Return a file of sound as float32 `[T, C]`, whose full scale is -1 to 1.

    The header is read first, and the samples in blocks, so that a small file that stands for hours of sound is refused
    before it takes memory.

    Raises:
        UndecodableItems: the bytes are no such file, or are damaged.
        InvalidItems: the sound is empty or too long, or has channels or a sampling rate that are not taken.
    """
    import soundfile

    if not is_sound_file(data):
        raise UndecodableItems(Problem("the bytes are neither WAV, FLAC nor Ogg"))
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_header(file, form)
            blocks = list(_resample(_blocks(file, form.n_channels), file.samplerate, form))
    except soundfile.LibsndfileError as error:
        raise UndecodableItems(Problem(f"the bytes are no readable file of sound: {error.error_string}")) from None
    sound = np.concatenate(blocks)
    if not len(sound):
        raise InvalidItems(Problem("the sound has no samples"))
    if not np.isfinite(sound).all():
        raise InvalidItems(Problem("the sound holds a number that is not finite"))
    return sound


def write_sound(sound: NDArray[Any], sampling_rate: int, kind: SoundFormat) -> bytes:
    """Return a file of a sound `[T]` or `[T, C]` with integers of 16 bits. Louder samples are clipped."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, sound.clip(-1, 1), sampling_rate, subtype=PCM, format=kind.upper())
    return file.getvalue()


def _check_header(file: Any, form: SoundForm) -> None:
    """Raise InvalidItems if the header of a file promises a sound that is not taken."""
    rate, n_channels = file.samplerate, file.channels
    if not MIN_RATE <= rate <= MAX_RATE:
        raise InvalidItems(Problem(f"the sampling rate is {rate} Hz; it must be {MIN_RATE} to {MAX_RATE}"))
    if not 1 / MAX_RATIO <= rate / form.sampling_rate <= MAX_RATIO:
        detail = f"the sampling rate is {rate} Hz, and the model's {form.sampling_rate}"
        raise InvalidItems(Problem(f"{detail}; they may differ by a factor of {MAX_RATIO}"))
    if not 1 <= n_channels <= MAX_FILE_CHANNELS:
        raise InvalidItems(Problem(f"the sound has {n_channels} channels; it must have 1 to {MAX_FILE_CHANNELS}"))
    if n_channels not in (1, form.n_channels) and form.n_channels != 1:
        raise InvalidItems(Problem(f"the sound has {n_channels} channels; the model takes {form.n_channels}, or 1"))
    if file.frames >= UNKNOWN_FRAMES:
        raise InvalidItems(Problem("the header does not tell the length, as in a stream; send a finished file"))
    _check_length(file.frames * form.sampling_rate // rate, form)


def _check_length(n_samples: int, form: SoundForm) -> None:
    if n_samples > form.max_samples:
        limit = f"{form.max_samples / form.sampling_rate:g} s are left of the limit"
        raise InvalidItems(
            Problem(f"the sound has at least {n_samples / form.sampling_rate:.2f} s; {limit} (max_audio_seconds)")
        )


def _blocks(file: Any, n_channels: int) -> Iterator[Floats32]:
    """Yield the samples of a file, `[t, n_channels]`, of which at most `BLOCK_SAMPLES` are read at once.

    Raises:
        UndecodableItems: the file has fewer samples than its header says.
    """
    n_frames, n_read = max(1, BLOCK_SAMPLES // file.channels), 0
    while len(block := file.read(n_frames, dtype="float32", always_2d=True)):
        n_read += len(block)
        if n_channels == 1:
            yield block.mean(1, keepdims=True, dtype=np.float32)
        else:
            yield np.broadcast_to(block, (len(block), n_channels)) if block.shape[1] == 1 else block
    if n_read < file.frames:
        raise UndecodableItems(Problem(f"the file ends after {n_read} of {file.frames} samples"))


def _resample(blocks: Iterator[Floats32], rate: int, form: SoundForm) -> Iterator[Floats32]:
    """Yield blocks at the sampling rate of the form, as long as they are no longer together than it allows.

    Raises:
        InvalidItems: they are longer.
    """
    import soxr

    stream = None
    if rate != form.sampling_rate:
        stream = soxr.ResampleStream(rate, form.sampling_rate, form.n_channels, dtype="float32")
    n_samples = 0
    for block in blocks:
        resampled = block if stream is None else stream.resample_chunk(np.ascontiguousarray(block))
        n_samples += len(resampled)
        _check_length(n_samples, form)
        yield resampled
    last = np.empty((0, form.n_channels), np.float32)
    if stream is not None:
        last = stream.resample_chunk(last, last=True)
        _check_length(n_samples + len(last), form)
    yield last
