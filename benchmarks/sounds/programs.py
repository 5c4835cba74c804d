"""Codecs of speech that other people publish, as programs of Debian's packages `codec2` and `opus-tools`.

They read and write raw samples: 16 bits, 8 kHz, one channel.
"""

import shutil
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from training.data.fsdd import PCM_SCALE, SAMPLING_RATE

TIMEOUT_S = 60.0
"""Most seconds that a program may take for a recording."""
N_EXTRA_FRAMES = 3
"""Frames of silence after a recording, because Codec2 delays it and drops an incomplete last frame."""
FRAME_SAMPLES = SAMPLING_RATE // 50
PAGE_HEAD_BYTES = 27
"""Bytes of an Ogg page before the table of its segments."""
N_HEADER_PAGES = 2
"""Pages of an Ogg file with Opus that hold no sound."""


@dataclass(frozen=True)
class Coded:
    """A decoded sound `[1, T]`, and how many bits it took, without those of the file's format."""

    sound: Tensor
    n_bits: int


@dataclass(frozen=True, kw_only=True)
class Program(ABC):
    """A codec at one rate.

    Attributes:
        title: what the tables call it.
        kbit_per_s: the rate that the encoder is asked for.
    """

    title: str
    kbit_per_s: float

    @property
    @abstractmethod
    def programs(self) -> tuple[str, str]:
        """Return the names of the encoder and the decoder."""

    @property
    @abstractmethod
    def package(self) -> str:
        """Return the name of the Debian package that has the programs."""

    @property
    def is_installed(self) -> bool:
        """Return whether both programs are found."""
        return all(shutil.which(program) for program in self.programs)

    @abstractmethod
    def run(self, folder: Path, sound: Tensor) -> Coded:
        """Encode and decode a sound `[1, T]`, with files in an empty folder."""

    def code(self, sound: Tensor) -> Coded:
        """Encode and decode a sound `[1, T]`.

        Raises:
            subprocess.SubprocessError: a program failed.
        """
        with TemporaryDirectory() as folder:
            return self.run(Path(folder), sound)


@dataclass(frozen=True, kw_only=True)
class Codec2(Program):
    """Codec2, a vocoder, in one of its modes."""

    @property
    @override
    def programs(self) -> tuple[str, str]:
        return "c2enc", "c2dec"

    @property
    @override
    def package(self) -> str:
        return "codec2"

    @override
    def run(self, folder: Path, sound: Tensor) -> Coded:
        mode = f"{1000 * self.kbit_per_s:.0f}"
        source, coded, result = (folder / name for name in ("in.raw", "coded.bin", "out.raw"))
        n_frames = -(-sound.shape[1] // FRAME_SAMPLES)
        n_samples = (n_frames + N_EXTRA_FRAMES) * FRAME_SAMPLES
        _write(source, functional.pad(sound, (0, n_samples - sound.shape[1])))
        _call("c2enc", mode, source, coded)
        _call("c2dec", mode, coded, result)
        return Coded(_read(result), round(n_frames * FRAME_SAMPLES * self.kbit_per_s * 1000 / SAMPLING_RATE))


@dataclass(frozen=True, kw_only=True)
class Opus(Program):
    """Opus with a variable rate, which opusenc aims at on average."""

    @property
    @override
    def programs(self) -> tuple[str, str]:
        return "opusenc", "opusdec"

    @property
    @override
    def package(self) -> str:
        return "opus-tools"

    @override
    def run(self, folder: Path, sound: Tensor) -> Coded:
        source, coded, result = (folder / name for name in ("in.raw", "coded.opus", "out.raw"))
        _write(source, sound)
        raw = ("--raw", "--raw-rate", str(SAMPLING_RATE), "--raw-chan", "1", "--raw-bits", "16")
        _call("opusenc", "--quiet", "--bitrate", f"{self.kbit_per_s:g}", *raw, source, coded)
        _call("opusdec", "--quiet", "--no-dither", "--rate", str(SAMPLING_RATE), coded, result)
        return Coded(_read(result), 8 * payload_bytes(coded.read_bytes()))


def payload_bytes(data: bytes) -> int:
    """Return the number of bytes of the packets of sound in an Ogg file with Opus.

    Raises:
        ValueError: the file is no sequence of pages.

    Source: RFC 3533, section 6; RFC 7845, section 3.
    """
    place, n_pages, total = 0, 0, 0
    while place < len(data):
        n_segments = data[place + PAGE_HEAD_BYTES - 1] if data[place : place + 4] == b"OggS" else None
        if n_segments is None:
            raise ValueError(f"there is no page of Ogg at byte {place}")
        table_end = place + PAGE_HEAD_BYTES + n_segments
        size = sum(data[place + PAGE_HEAD_BYTES : table_end])
        if n_pages >= N_HEADER_PAGES:
            total += size
        place, n_pages = table_end + size, n_pages + 1
    return total


def _call(*command: str | Path) -> None:
    arguments = [str(part) for part in command]
    subprocess.run(arguments, check=True, capture_output=True, timeout=TIMEOUT_S)  # noqa: S603


def _write(path: Path, sound: Tensor) -> None:
    samples = (sound[0] * PCM_SCALE).round().clamp(-PCM_SCALE, PCM_SCALE - 1)
    path.write_bytes(samples.numpy().astype("<i2").tobytes())


def _read(path: Path) -> Tensor:
    samples = np.frombuffer(path.read_bytes(), "<i2").astype(np.float32)
    return torch.from_numpy(samples)[None] / PCM_SCALE


PROGRAMS: tuple[Program, ...] = (
    Codec2(title="Codec2", kbit_per_s=1.2),
    Codec2(title="Codec2", kbit_per_s=3.2),
    Opus(title="Opus", kbit_per_s=6.0),
)
"""The codecs that ours is compared with."""
