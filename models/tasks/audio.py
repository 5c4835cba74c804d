"""Requests and results of the tasks of sounds.

Shapes: `C` channels, `T` samples of a sound in time, `K` codebooks, `F` frames of a chunk. Sounds are float32 with the
full scale of -1 to 1.
"""

from dataclasses import dataclass

from torch import Tensor

from models.tasks.autoencoding import ProjectionMethod
from models.tasks.classification import Activation


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
    """A request about one sound `[C, T]`."""

    sound: Tensor

    @property
    def cost(self) -> int:
        """Return the number of samples that this request adds to a batch."""
        return self.sound.numel()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SoundCodingRequest(SoundRequest):
    """A request about one sound, which is encoded at a bandwidth in kbit/s; the model's least if None."""

    bandwidth: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodeSoundRequest(SoundCodingRequest):
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
class ReconstructSoundRequest(SoundCodingRequest):
    """A request to encode a sound and to decode its codes."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReconstructSoundResult:
    """A reconstructed sound `[C, T]`, with its mean squared and mean absolute error over all samples."""

    sound: Tensor
    mse: float
    mae: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CompressSoundRequest(SoundCodingRequest):
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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassifySoundRequest(SoundRequest):
    """A request for the `top_k` best labels of a sound; all labels if None.

    `function_to_apply` turns logits into scores.
    """

    top_k: int | None = None
    function_to_apply: Activation = "softmax"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DenoiseSoundRequest(SoundCodingRequest):
    """A request to encode a noisy sound and to decode its codes, of which noise has few.

    To test how well this works, white noise is added first, so much that the ratio of the sound to it is `snr_db` in
    decibels; None if the sound is noisy already. The noise depends on the `seed`, and on the place of the sound among
    those of a caller, `index`.
    """

    snr_db: float | None = None
    seed: int = 0
    index: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DenoiseSoundResult:
    """A denoised sound `[C, T]`, and a comparison with the original sound if noise was added to it.

    `snr_before` and `snr_after` are the ratios, in decibels, of the original sound to the differences of `noisy` and of
    `sound` from it.
    """

    sound: Tensor
    noisy: Tensor | None = None
    snr_before: float | None = None
    snr_after: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DetectSoundAnomaliesRequest(SoundRequest):
    """A request to compare a sound with normal sounds, by one of the model's anomaly scores or its default.

    The other attributes are those of `models.tasks.autoencoding.DetectAnomaliesRequest`. In the result, contributions
    are those of the frames of the sound, `[F]`.
    """

    score: str | None = None
    threshold: float | None = None
    percentile: float | None = None
    false_alarm_rate: float | None = None
    n_top: int = 5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProjectSoundsRequest:
    """A request to project sounds to a plane by their pooled latents; the methods are those of other items."""

    sounds: tuple[Tensor, ...]
    method: ProjectionMethod = "pca"

    @property
    def cost(self) -> int:
        """Return the number of samples that this request adds to a batch."""
        return sum(sound.numel() for sound in self.sounds)
