"""Hyperparameters of EnCodec."""

from dataclasses import dataclass
from math import ceil, floor, log2, prod

from models.family import FamilyConfig

NORMS = ("weight_norm", "time_group_norm")
PADDINGS = ("reflect", "constant", "replicate")
MAX_CODEBOOKS = 255
"""Maximum number of codebooks, which a byte counts in streams."""
MAX_CODEBOOK_SIZE = 2**14
"""Maximum number of vectors of a codebook."""
WHOLE_S = 30
"""Longest sound in seconds that a model without chunks of its own encodes as a whole; a longer one has such chunks."""
WHOLE_OVERLAP_S = 1
"""Seconds of such a chunk that the next one repeats."""


@dataclass(frozen=True, kw_only=True)
class EncodecConfig(FamilyConfig):
    """The sizes of the networks and the format of the sounds. The names in published files are in `checkpoint.KEYS`.

    Attributes:
        sampling_rate: samples of a second of sound.
        n_channels: channels of a sound, 1 or 2.
        bandwidths: the bandwidths that a sound can be encoded at, in kbit/s, ascending.
        normalize: whether each chunk is brought to the same volume before it is encoded.
        chunk_s: length in seconds of the chunks that a sound is split into; 0 if it is encoded as a whole, unless it is
            longer than `WHOLE_S`.
        overlap: share of a chunk that the next one repeats.
        latent_width: width of a frame between the networks, and of the vectors of the codebooks.
        n_filters: channels after the first convolution; each resampling doubles them.
        n_residual_layers: residual blocks before each resampling of the encoder and after each of the decoder.
        ratios: factors by which the decoder raises the sampling rate, in order; the encoder lowers it in reverse.
        norm: normalisation of the convolutions: of their weights (`weight_norm`), or of what they compute over all
            channels and times (`time_group_norm`).
        kernel_size: kernel of the first convolution of each network.
        last_kernel_size: kernel of the last convolution of each network.
        residual_kernel_size: kernel of the first convolution of a residual block.
        dilation_growth: factor by which the dilation of a residual block exceeds that of the one before.
        causal: whether no frame depends on samples after it.
        padding: what surrounds a sound: its mirror image (`reflect`), zeros (`constant`) or its ends (`replicate`).
        compress: factor by which a residual block is narrower inside.
        n_lstm_layers: layers of the LSTM in each network.
        trim_right_ratio: share of the surplus of a transposed convolution that is cut at the right; 1 unless `causal`.
        codebook_size: vectors of a codebook, a power of 2.
        conv_shortcut: whether the shortcut of a residual block is a convolution.
        labels: names of the classes. If there are any, the model has a classifier too.
        classifier_widths: channels of the convolutions of the classifier.
        classifier_kernel: kernel of these convolutions, an odd number of frames.

    Raises:
        ConfigError: a value is out of range.
    """

    sampling_rate: int
    n_channels: int
    bandwidths: tuple[float, ...]
    normalize: bool
    chunk_s: float
    overlap: float
    latent_width: int
    n_filters: int
    n_residual_layers: int
    ratios: tuple[int, ...]
    norm: str
    kernel_size: int
    last_kernel_size: int
    residual_kernel_size: int
    dilation_growth: int
    causal: bool
    padding: str
    compress: int
    n_lstm_layers: int
    trim_right_ratio: float
    codebook_size: int
    conv_shortcut: bool
    labels: tuple[str, ...] = ()
    classifier_widths: tuple[int, ...] = ()
    classifier_kernel: int = 1

    def __post_init__(self) -> None:
        for name in (
            *("sampling_rate", "latent_width", "n_filters", "kernel_size", "last_kernel_size", "residual_kernel_size"),
            *("dilation_growth", "compress", "n_lstm_layers"),
        ):
            self.require(getattr(self, name) > 0, name, "positive")
        self.require(self.n_channels in (1, 2), "n_channels", "1 or 2")
        self.require(self.n_residual_layers >= 0, "n_residual_layers", "at least 0")
        self.require(
            0 < len(self.ratios) <= 16 and min(self.ratios) > 0, "ratios", "a list of 1 to 16 positive numbers"
        )
        self.require(self.norm in NORMS, "norm", f"one of {', '.join(NORMS)}")
        self.require(self.padding in PADDINGS, "padding", f"one of {', '.join(PADDINGS)}")
        self.require(self.n_filters >= self.compress, "compress", f"at most n_filters, {self.n_filters}")
        is_power = self.codebook_size.bit_count() == 1
        limit = f"a power of 2 from 2 to {MAX_CODEBOOK_SIZE}"
        self.require(is_power and 2 <= self.codebook_size <= MAX_CODEBOOK_SIZE, "codebook_size", limit)
        self.require(0 <= self.trim_right_ratio <= 1, "trim_right_ratio", "0 to 1")
        self.require(self.causal or self.trim_right_ratio == 1, "trim_right_ratio", "1 unless convolutions are causal")
        self.require(len(self.labels) != 1, "labels", "none, or two or more")
        self.require(all(width > 0 for width in self.classifier_widths), "classifier_widths", "positive, each of them")
        self.require(bool(self.labels) or not self.classifier_widths, "classifier_widths", "empty without classes")
        is_odd = self.classifier_kernel > 0 and self.classifier_kernel % 2 == 1
        self.require(is_odd, "classifier_kernel", "a positive odd number")
        self._check_chunks()
        self._check_bandwidths()

    def _check_chunks(self) -> None:
        self.require(0 <= self.chunk_s <= 3600, "chunk_s", "0 to 3600 seconds")
        self.require(not self.chunk_s or self.chunk_s * self.sampling_rate >= 1, "chunk_s", "at least one sample")
        self.require(0 <= self.overlap < 1, "overlap", "at least 0 and below 1")

    def _check_bandwidths(self) -> None:
        is_ascending = list(self.bandwidths) == sorted(set(self.bandwidths))
        self.require(
            bool(self.bandwidths) and is_ascending and self.bandwidths[0] > 0,
            "bandwidths",
            "a list of positive numbers in ascending order",
        )
        least = self.codebook_rate / 1000
        most = MAX_CODEBOOKS * least
        self.require(
            least <= self.bandwidths[-1] <= most, "bandwidths", f"such that the largest is {least:g} to {most:g} kbit/s"
        )

    @property
    def hop(self) -> int:
        """The number of samples of a frame."""
        return prod(self.ratios)

    @property
    def codebook_rate(self) -> int:
        """The number of bits that a codebook takes for a second of sound, before entropy coding."""
        frame_rate = ceil(self.sampling_rate / self.hop)
        return frame_rate * int(log2(self.codebook_size))

    @property
    def n_codebooks(self) -> int:
        """The number of codebooks, which the largest bandwidth decides."""
        return int(1000 * self.bandwidths[-1] // self.codebook_rate)

    @property
    def chunk_samples(self) -> int:
        """The number of samples of a chunk: whole frames of `WHOLE_S`, unless the model has chunks of its own."""
        return int(self.chunk_s * self.sampling_rate) or max(1, WHOLE_S * self.sampling_rate // self.hop) * self.hop

    @property
    def chunk_stride(self) -> int:
        """The number of samples from the beginning of a chunk to that of the next."""
        if self.chunk_s:
            return max(1, int((1.0 - self.overlap) * self.chunk_samples))
        return max(1, self.chunk_samples - WHOLE_OVERLAP_S * self.sampling_rate)

    def codebooks_at(self, bandwidth: float) -> int:
        """Return the number of codebooks that a bandwidth in kbit/s pays for, at least 1 (section 3.2 of the paper)."""
        return min(self.n_codebooks, max(1, floor(1000 * bandwidth / self.codebook_rate)))

    def chunk_lengths(self, length: int) -> list[int]:
        """Return the numbers of samples of the chunks of a sound with `length` samples."""
        if not self.chunk_s and length <= self.chunk_samples:
            return [length]
        return [min(self.chunk_samples, length - start) for start in range(0, length, self.chunk_stride)]
