"""Measurements of a trained autoencoder, stored beside its weights: scores of normal items, statistics of latents."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Self

import torch
from safetensors.torch import save
from torch import Tensor

from models.autoencoding.detector import Detector
from models.autoencoding.drift import DriftReference
from models.autoencoding.mixture import GaussianMixture
from models.autoencoding.outlier_classifier import OutlierClassifier
from models.errors import CheckpointError

CONFIDENCE = 0.9
"""Probability with which a threshold keeps a promised rate of false alarms, if there are enough held-out scores."""
PARTS: Mapping[str, type[GaussianMixture | Detector | OutlierClassifier | DriftReference]] = {
    "mixture": GaussianMixture,
    "detector": Detector,
    "outlier_classifier": OutlierClassifier,
    "drift": DriftReference,
}
"""Parts of a calibration that consist of several tensors, by the first word in the names of these."""


def most_above(false_alarm_rate: float, n: int) -> int:
    """Return how many of n held-out scores may be above a threshold that normal items exceed at most at this rate.

    With k scores above it, the rate is kept with the probability that a binomial variable (n, rate) is above k, over
    the draw of the held-out items. The answer is the largest k with a probability of `CONFIDENCE`, or 0 if there is
    none: the largest score is exceeded with the probability 1 / (n + 1) on average.

    Source: Wilks 1941, tolerance limits; Vovk 2012, conditional validity.
    """
    n_above, cumulative = -1, 0.0
    while cumulative <= 1 - CONFIDENCE and n_above < n:
        n_above += 1
        cumulative += math.exp(
            math.lgamma(n + 1)
            - math.lgamma(n_above + 1)
            - math.lgamma(n - n_above + 1)
            + n_above * math.log(false_alarm_rate)
            + (n - n_above) * math.log1p(-false_alarm_rate)
        )
    return max(0, n_above - 1)  # the last one had too little confidence


def percentile_for(false_alarm_rate: float, n: int, n_left_out: int = 0) -> float:
    """Return the percentile of n held-out scores that normal items exceed at most at this rate; see `most_above`.

    Args:
        false_alarm_rate: the rate.
        n: the number of held-out scores.
        n_left_out: number of further items that were left out because of high scores. They count as above, since some
            may be normal, but for at most half of those that may be, so that a file with many anomalies has a threshold
            to find some.
    """
    n_allowed = most_above(false_alarm_rate, n + n_left_out)
    n_above = max(n_allowed - n_left_out, n_allowed // 2)
    return 100 * (n - 1 - n_above) / max(n - 1, 1)


def can_promise(false_alarm_rate: float, n: int) -> bool:
    """Return whether n held-out scores are enough for a rate of false alarms: 1 / (n + 1) is the least."""
    return false_alarm_rate * (n + 1) >= 1 - 1e-9  # rounding aside


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Measurements of a trained autoencoder.

    Attributes:
        scores: for each anomaly score, those of normal items that the model was not trained on, in ascending order.
        percentile: the percentile of these scores that is the threshold of anomalies, unless a request names another.
        latent_mean: mean of the latents of training items, of the model's `latent_shape`.
        latent_deviation: standard deviation of these latents, of the model's `latent_shape`.
        mixture: mixture of Gaussians fitted to these latents, flattened; None for models that do not sample from it.
        least_scores: for each anomaly score of windows, what those of normal steps are by the number of windows that
            contain the step; see `models.autoencoding.coverage`. Empty for models of whole items.
        detector: what computes scores beside the reconstruction error; None for models without such scores.
        drift: what the items of requests are compared with to see whether they move; None for items without columns.
    """

    scores: Mapping[str, Tensor]
    percentile: float
    latent_mean: Tensor
    latent_deviation: Tensor
    mixture: GaussianMixture | None
    least_scores: Mapping[str, Tensor] = field(default_factory=dict)
    detector: Detector | OutlierClassifier | None = None
    drift: DriftReference | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole content as named tensors."""
        tensors = {f"scores.{name}": scores for name, scores in self.scores.items()}
        tensors |= {f"least_scores.{name}": scores for name, scores in self.least_scores.items()}
        tensors |= {
            "percentile": torch.tensor(self.percentile),
            "latent_mean": self.latent_mean,
            "latent_deviation": self.latent_deviation,
        }
        names = {kind: name for name, kind in PARTS.items()}
        for part in (self.mixture, self.detector, self.drift):
            if part is not None:
                values = {f"{names[type(part)]}.{field.name}": getattr(part, field.name) for field in fields(part)}
                tensors |= {key: value for key, value in values.items() if value is not None}
        return tensors

    def to_bytes(self) -> bytes:
        """Return the content of a safetensors file with these tensors."""
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors().items()}
        return save(tensors)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the calibration whose `tensors` these are.

        Raises:
            CheckpointError: a tensor is missing, or the percentile is not a number from 0 to 100.
        """
        groups: dict[str, dict[str, Any]] = {name: {} for name in ("scores", "least_scores", *PARTS)}
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            groups.get(group, {})[rest] = tensor
        try:
            percentile = float(tensors["percentile"])
            if not 0 <= percentile <= 100:
                raise ValueError(f"the percentile is {percentile}; it must be a number from 0 to 100")
            parts: dict[str, Any] = {name: kind(**groups[name]) for name, kind in PARTS.items() if groups[name]}
            return cls(
                scores=groups["scores"],
                least_scores=groups["least_scores"],
                percentile=percentile,
                latent_mean=tensors["latent_mean"],
                latent_deviation=tensors["latent_deviation"],
                mixture=parts.get("mixture"),
                detector=parts.get("detector", parts.get("outlier_classifier")),
                drift=parts.get("drift"),
            )
        except (KeyError, TypeError, ValueError, RuntimeError) as error:  # RuntimeError: it is no single number
            raise CheckpointError(f"the calibration is not readable: {error}") from None

    @cached_property
    def _ascending(self) -> Mapping[str, Tensor]:
        """The scores of normal items in float64, which are compared with those of requests."""
        return {name: scores.double() for name, scores in self.scores.items()}

    def threshold(self, score: str, percentile: float) -> float:
        """Return the given percentile of the normal items' scores, interpolated between two of them."""
        scores = self._ascending[score]
        place = percentile / 100 * (len(scores) - 1)
        below = int(place)
        first, second = float(scores[below]), float(scores[min(below + 1, len(scores) - 1)])
        return first + (second - first) * (place - below)

    def threshold_for(self, score: str, false_alarm_rate: float) -> float:
        """Return the threshold that normal items exceed at most at this rate; see `percentile_for`.

        Raises:
            ValueError: there are too few scores to promise this rate; the message names the least.
        """
        n = len(self.scores[score])
        if not can_promise(false_alarm_rate, n):
            raise ValueError(f"{n} held-out scores can promise {1 / (n + 1):.2g} at the least")
        return self.threshold(score, percentile_for(false_alarm_rate, n))

    def percentiles_of(self, score: str, values: Tensor) -> Tensor:
        """Return the percentages of normal items that score no higher than the values, both `[n]`."""
        scores = self._ascending[score]
        return 100.0 * torch.searchsorted(scores, values.double(), right=True).double() / len(scores)

    def p_values(self, score: str, values: Tensor) -> Tensor:
        """Return the conformal p-values of scores, both `[n]`: a normal item scores as much at most so probably.

        Source: Vovk, Gammerman, Shafer 2005, chapter 2.
        """
        scores = self._ascending[score]
        n_below = torch.searchsorted(scores, values.double()).double()
        return (1 + len(scores) - n_below) / (1 + len(scores))
