"""Requests and results of the tasks of sounds.

Shapes: `C` channels, `T` samples of a sound in time, `K` codebooks, `F` frames of a chunk. Sounds are float32 with the
full scale of -1 to 1.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SoundCodes:
    """A sound as the indices of codebooks.

    Attributes:
        chunks: the indices of each chunk of the sound, `[K, F]` in int64. All chunks have as many codebooks.
        scales: the volume that each chunk is multiplied by; empty for models that do not normalise the volume.
        length: the number of samples of the sound.
    """

    chunks: tuple[Tensor, ...]
    scales: tuple[float, ...]
    length: int

    @property
    def n_codebooks(self) -> int:
        """The number of codebooks."""
        return len(self.chunks[0])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SoundRequest:
    """A request about one sound `[C, T]`, which is encoded at a bandwidth in kbit/s; the model's least if None."""

    sound: Tensor
    bandwidth: float | None = None

    @property
    def cost(self) -> int:
        """Return the number of samples that this request adds to a batch."""
        return self.sound.numel()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodeSoundRequest(SoundRequest):
    """A request to map a sound to codes."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodeSoundResult:
    """The codes of a sound, and the bandwidth in kbit/s that they were chosen for."""

    encoded: SoundCodes
    bandwidth: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodeSoundRequest:
    """A request to map codes to a sound."""

    encoded: SoundCodes

    @property
    def cost(self) -> int:
        """Return the number of samples in time that this request adds to a batch."""
        return self.encoded.length


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodeSoundResult:
    """The sound `[C, T]` of codes."""

    sound: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReconstructSoundRequest(SoundRequest):
    """A request to encode a sound and to decode its codes."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReconstructSoundResult:
    """A reconstructed sound `[C, T]`, with its mean squared and mean absolute error over all samples."""

    sound: Tensor
    mse: float
    mae: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CompressSoundRequest(SoundRequest):
    """A request to compress a sound into a stream of bytes."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CompressSoundResult:
    """A stream, the number of kilobits in it for a second of the sound, and how much smaller it is than PCM of 16 bits.

    The container counts as well.
    """

    stream: bytes
    kbit_per_s: float
    ratio: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecompressSoundRequest:
    """A request to decompress a stream of `length` samples in time, which the same model has made."""

    stream: bytes
    length: int

    @property
    def cost(self) -> int:
        """Return the number of samples in time that this request adds to a batch."""
        return max(1, self.length)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecompressSoundResult:
    """The sound `[C, T]` of a stream."""

    sound: Tensor
