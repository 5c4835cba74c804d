"""Requests and results of the autoencoders' tasks, and of image classification.

Shapes: an item has the model's `input_shape` (a series: `[T, C]`, T its own length), a latent its `latent_shape`.
"""

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

NoiseType = Literal["gaussian", "masking", "salt_and_pepper"]
Method = Literal["linear", "slerp"]
Projection = Literal["pca", "latent"]
Activation = Literal["softmax", "sigmoid", "none"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ItemRequest:
    """A request about one item."""

    item: Tensor

    @property
    def cost(self) -> int:
        """Elements this request adds to a batch."""
        return self.item.numel()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ItemsRequest:
    """A request about several items together."""

    items: tuple[Tensor, ...]

    @property
    def cost(self) -> int:
        """Elements this request adds to a batch."""
        return sum(item.numel() for item in self.items)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodeRequest(ItemRequest):
    """One item to map to its latent. `sample` draws from the posterior, of families that have one, by `seed`."""

    sample: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodeResult:
    """The latent, and what the family knows of it besides.

    `mean` and `log_variance` are the posterior's; `prior_score` in [0, 1] is how well the latent fits the prior, as the
    family's discriminator sees it.
    """

    latent: Tensor
    mean: Tensor | None = None
    log_variance: Tensor | None = None
    prior_score: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodeRequest:
    """One latent to map back to an item; `length` in steps for models of series, the trained one where None."""

    latent: Tensor
    length: int | None = None

    @property
    def cost(self) -> int:
        """Elements this request adds to a batch."""
        return self.latent.numel() + (self.length or 0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodeResult:
    """The latent's item."""

    reconstruction: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReconstructRequest(ItemRequest):
    """One item to encode and decode again. With a `seed`, families with a posterior draw from it."""

    seed: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReconstructResult:
    """`reconstruction` has the item's shape; `mse` and `mae` are means over its elements."""

    reconstruction: Tensor
    mse: float
    mae: float


@dataclass(frozen=True, slots=True)
class Noise:
    """`level` is the deviation of gaussian noise in the item's range, or the fraction of elements that are hit."""

    type: NoiseType
    level: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DenoiseRequest(ItemRequest):
    """One item to clean. `noise` is added first, by `seed`, where the item is clean and this a trial."""

    noise: Noise | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DenoiseResult:
    """Where noise was added: the noisy item, and the peak signal-to-noise ratios against the clean one in dB."""

    denoised: Tensor
    noisy: Tensor | None = None
    psnr_before: float | None = None
    psnr_after: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampleRequest:
    """One new item: the `index`-th of `seed`. `temperature` scales the deviation of what is drawn."""

    seed: int
    index: int = 0
    temperature: float = 1.0
    label: str | None = None
    sampler: str | None = None
    length: int | None = None
    cost: int = 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampleResult:
    """An item, and the latent it was decoded from."""

    sample: Tensor
    latent: Tensor
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class InterpolateRequest:
    """The way from `start` to `end` through the latent space, in `steps` frames, both ends included."""

    start: Tensor
    end: Tensor
    steps: int = 8
    method: Method = "linear"

    @property
    def cost(self) -> int:
        """Elements this request adds to a batch."""
        return self.steps * max(self.start.numel(), self.end.numel())


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class InterpolateResult:
    """`steps` items, and their latents `[steps, *latent_shape]`."""

    frames: tuple[Tensor, ...]
    latents: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DetectAnomaliesRequest(ItemRequest):
    """One item to compare with the normal ones. `threshold` on the score, or a `percentile` of the normal scores."""

    score: str | None = None
    threshold: float | None = None
    percentile: float | None = None
    n_top: int = 5


@dataclass(frozen=True, slots=True)
class Contribution:
    """One element's part of an item's score."""

    index: tuple[int, ...]
    contribution: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DetectAnomaliesResult:
    """`contributions` has the item's shape and sums to the score; `top` are its largest.

    `percentile` is the share of held-out normal items, in percent, that score no higher; `p_value` is the conformal
    one: (1 + items that score at least as high) / (1 + items).
    """

    score: float
    threshold: float
    is_anomaly: bool
    percentile: float
    p_value: float
    contributions: Tensor
    top: tuple[Contribution, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImputeRequest(ItemRequest):
    """One item whose missing elements are NaN."""

    iterations: int = 20

    @property
    def cost(self) -> int:
        """Elements this request adds to a batch, over all its passes."""
        return self.item.numel() * self.iterations


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImputeResult:
    """The item without gaps; what was observed is unchanged."""

    imputed: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CompressRequest(ItemsRequest):
    """Items to pack into one stream, with `bits` a latent element, or without loss where the family can."""

    bits: int = 8
    lossless: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CompressResult:
    """`ratio` is against 8 bits an element of an image, 32 of a series or vector; errors against what comes back."""

    stream: bytes
    bits_per_element: float
    ratio: float
    mse: float
    psnr: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecompressRequest:
    """A stream of this very model, of at most `max_items`."""

    stream: bytes
    max_items: int
    cost: int = 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecompressResult:
    """The stream's items, in order."""

    items: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProjectRequest(ItemsRequest):
    """Items to place in a plane, by the first two principal components of their latents or by the latents as such."""

    method: Projection = "pca"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProjectResult:
    """`points` are `[n, 2]`; `explained_variance` holds each axis's share of the whole, where axes were fitted."""

    points: Tensor
    explained_variance: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassifyRequest(ItemRequest):
    """One item to name. `top_k` best labels, all where None."""

    top_k: int | None = None
    function_to_apply: Activation = "softmax"


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label and what speaks for it."""

    label: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClassifyResult:
    """Best first."""

    labels: tuple[LabelScore, ...] = field(default=())
