"""Requests and results of the autoencoders' tasks.

Shapes: an item has the model's `input_shape`, except that a series `[T, C]` has a length T of its own. A latent has the
model's `latent_shape`.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

NoiseType = Literal["gaussian", "masking", "salt_and_pepper"]
InterpolationMethod = Literal["linear", "slerp"]
ProjectionMethod = Literal["pca", "latent"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ItemRequest:
    """A request about one item, the one at `index` among those of a caller. Draws depend on a seed and the index."""

    item: Tensor
    index: int = 0

    @property
    def cost(self) -> int:
        """Return the number of elements that this request adds to a batch."""
        return self.item.numel()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ItemsRequest:
    """A request about several items together."""

    items: tuple[Tensor, ...]

    @property
    def cost(self) -> int:
        """Return the number of elements that this request adds to a batch."""
        return sum(item.numel() for item in self.items)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodeRequest(ItemRequest):
    """A request to map an item to its latent.

    With `sample`, which only families with a posterior accept, the latent is drawn from it with the `seed`.
    """

    sample: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodeResult:
    """The latent of an item, and what only some families know about it.

    `mean` and `log_variance` are those of the posterior. `prior_score` is the probability, according to the family's
    discriminator, that the latent was drawn from the prior.
    """

    latent: Tensor
    mean: Tensor | None = None
    log_variance: Tensor | None = None
    prior_score: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodeRequest:
    """A request to map a latent to an item.

    Models of series make one of `length` steps, or of the length that they were trained on if None.
    """

    latent: Tensor
    length: int | None = None

    @property
    def cost(self) -> int:
        """Return the number of elements that this request adds to a batch."""
        return self.latent.numel() + (self.length or 0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodeResult:
    """The item of a latent."""

    reconstruction: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReconstructRequest(ItemRequest):
    """A request to encode an item and to decode its latent.

    With a `seed`, families with a posterior draw the latent from it; otherwise they take its mean.
    """

    seed: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReconstructResult:
    """A reconstructed item, with its mean squared and mean absolute error over all elements."""

    reconstruction: Tensor
    mse: float
    mae: float


@dataclass(frozen=True, slots=True)
class Noise:
    """A corruption of items.

    `level` is the standard deviation of Gaussian noise, or the fraction of elements that the other kinds change.
    """

    type: NoiseType
    level: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DenoiseRequest(ItemRequest):
    """A request to remove the noise of an item.

    To test how well this works, `noise` is added to the item first, with the `seed`; None if the item is noisy already.
    """

    noise: Noise | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DenoiseResult:
    """A denoised item, and a comparison with the original item if noise was added to it.

    `psnr_before` and `psnr_after` are the peak signal-to-noise ratios of `noisy` and `denoised` in decibels.
    """

    denoised: Tensor
    noisy: Tensor | None = None
    psnr_before: float | None = None
    psnr_after: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampleRequest:
    """A request to generate an item: the one with the number `index` among those with the same seed.

    Attributes:
        temperature: factor by which the standard deviations of all draws are scaled.
        label: class of the item, for models whose latents contain a class; None for a random class.
        sampler: one of the model's samplers; None for its default.
        length: number of steps of a series, as in `DecodeRequest`.
        gibbs_steps: number of steps of the sampler `gibbs`; None for its default.
    """

    seed: int
    index: int = 0
    temperature: float = 1.0
    label: str | None = None
    sampler: str | None = None
    length: int | None = None
    gibbs_steps: int | None = None
    cost: int = 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampleResult:
    """A generated item, the latent that it was decoded from, and the seed of the request."""

    sample: Tensor
    latent: Tensor
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class InterpolateRequest:
    """A request for `steps` items on a path between the latents of `start` and `end`, including both ends."""

    start: Tensor
    end: Tensor
    steps: int = 8
    method: InterpolationMethod = "linear"

    @property
    def cost(self) -> int:
        """Return the number of elements that this request adds to a batch."""
        return self.steps * max(self.start.numel(), self.end.numel())


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class InterpolateResult:
    """The `steps` items on the path, and their latents `[steps, *latent_shape]`."""

    frames: tuple[Tensor, ...]
    latents: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DetectAnomaliesRequest(ItemRequest):
    """A request to compare an item with normal items, by one of the model's anomaly scores or its default.

    An item is an anomaly if its score is above the `threshold`. If that is None, the threshold is a `percentile` of the
    normal items' scores, or the one that they exceed with the probability `false_alarm_rate`; if these are None too, it
    is the percentile in the model's calibration. `n_top` is the number of elements to name that contribute most to the
    score.
    """

    score: str | None = None
    threshold: float | None = None
    percentile: float | None = None
    false_alarm_rate: float | None = None
    n_top: int = 5


@dataclass(frozen=True, slots=True)
class Contribution:
    """The contribution of the element at `index` to the score of its item."""

    index: tuple[int, ...]
    contribution: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StepScores:
    """The anomaly scores of the steps of a long series, `[T]`, and their conformal p-values, `[T]`, both in float64."""

    scores: Tensor
    p_values: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DetectAnomaliesResult:
    """The anomaly score of an item, compared with those of held-out normal items.

    A long series is scored step by step and has the largest score, and the least p-value, of its steps.

    Attributes:
        score: the anomaly score.
        threshold: score above which an item is an anomaly.
        is_anomaly: whether the score is above the threshold.
        percentile: percentage of the normal items that score no higher.
        p_value: conformal p-value, (1 + normal items that score at least as high) / (1 + normal items).
        contributions: contribution of each element to the score, of the shape of the item; they sum to the score or, in
            long series, those of a step to the score of the step.
        steps: scores of the steps of a long series; None for other items.
        top: largest contributions, in descending order.
    """

    score: float
    threshold: float
    is_anomaly: bool
    percentile: float
    p_value: float
    contributions: Tensor
    top: tuple[Contribution, ...]
    steps: StepScores | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImputeRequest(ItemRequest):
    """A request to fill the gaps of an item, which are NaN, in the given number of iterations."""

    iterations: int = 20

    @property
    def cost(self) -> int:
        """Return the number of elements that this request adds to a batch, over all iterations."""
        return self.item.numel() * self.iterations


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImputeResult:
    """An item without gaps, whose observed elements are unchanged."""

    imputed: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CompressRequest(ItemsRequest):
    """A request to compress items of one shape into one stream.

    Each element of a latent is quantised to `bits` bits. With `lossless`, which only some families support, the
    decompressed items equal the originals.
    """

    bits: int = 8
    lossless: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CompressResult:
    """A stream of compressed items, and the errors of the items that it is decompressed to.

    `ratio` is the number of bits of an element before compression, 8 in images and otherwise 32, divided by
    `bits_per_element`. `psnr` is the peak signal-to-noise ratio in decibels.
    """

    stream: bytes
    bits_per_element: float
    ratio: float
    mse: float
    psnr: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecompressRequest:
    """A request to decompress a stream that the same model has made, of at most `max_items` items.

    `item_numbers` is the number of elements of an item, for models whose items have several sizes.
    """

    stream: bytes
    max_items: int
    cost: int = 1
    item_numbers: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecompressResult:
    """The items of a stream, in order."""

    items: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProjectRequest(ItemsRequest):
    """A request to project items to a plane.

    The method `pca` computes the first two principal components of the items' latents; `latent` takes the latents
    themselves, which must have two elements.
    """

    method: ProjectionMethod = "pca"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProjectResult:
    """Items as points `[n, 2]` in a plane.

    `explained_variance` is the share of the variance that each axis explains; empty if no axes were fitted.
    """

    points: Tensor
    explained_variance: tuple[float, ...] = ()
