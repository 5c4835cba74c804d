"""Measurements of a trained autoencoder, stored beside its weights: scores of normal items, statistics of latents."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from safetensors.torch import save
from torch import Tensor

from models.autoencoding.detector import Detector
from models.autoencoding.mixture import GaussianMixture
from models.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Measurements of a trained autoencoder.

    Attributes:
        scores: for each anomaly score, those of normal items that the model was not trained on, in ascending order.
        percentile: the percentile of these scores that is the threshold of anomalies, unless a request names another.
        latent_mean: mean of the latents of training items, of the model's `latent_shape`.
        latent_deviation: standard deviation of these latents, of the model's `latent_shape`.
        mixture: mixture of Gaussians fitted to these latents, flattened; None for models that do not sample from it.
        detector: what scores beside the reconstruction error compare items with; None for models without such scores.
    """

    scores: Mapping[str, Tensor]
    percentile: float
    latent_mean: Tensor
    latent_deviation: Tensor
    mixture: GaussianMixture | None
    detector: Detector | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole content as named tensors."""
        tensors = {f"scores.{name}": scores for name, scores in self.scores.items()}
        tensors |= {
            "percentile": torch.tensor(self.percentile),
            "latent_mean": self.latent_mean,
            "latent_deviation": self.latent_deviation,
        }
        for name, part in (("mixture", self.mixture), ("detector", self.detector)):
            if part is not None:
                tensors |= {f"{name}.{field.name}": getattr(part, field.name) for field in fields(part)}
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
        parts: dict[str, dict[str, Any]] = {"scores": {}, "mixture": {}, "detector": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts.get(part, {})[rest] = tensor
        mixture, detector = parts["mixture"], parts["detector"]
        try:
            percentile = float(tensors["percentile"])
            if not 0 <= percentile <= 100:
                raise ValueError(f"the percentile is {percentile}; it must be a number from 0 to 100")
            return cls(
                scores=parts["scores"],
                percentile=percentile,
                latent_mean=tensors["latent_mean"],
                latent_deviation=tensors["latent_deviation"],
                mixture=GaussianMixture(**mixture) if mixture else None,
                detector=Detector(**detector) if detector else None,
            )
        except (KeyError, TypeError, ValueError, RuntimeError) as error:  # RuntimeError: it is no single number
            raise CheckpointError(f"the calibration is not readable: {error}") from None

    def threshold(self, score: str, percentile: float) -> float:
        """Return the given percentile of the normal items' scores."""
        scores = self.scores[score].double()
        return float(torch.quantile(scores, percentile / 100))

    def percentile_of(self, score: str, value: float) -> float:
        """Return the percentage of normal items that score no higher than `value`."""
        scores = self.scores[score].double()
        return 100.0 * int((scores <= value).sum()) / len(scores)

    def p_value(self, score: str, value: float) -> float:
        """Return the conformal p-value: a normal item scores `value` or more with at most this probability.

        Source: Vovk, Gammerman, Shafer 2005, chapter 2.
        """
        scores = self.scores[score].double()
        return (1 + int((scores >= value).sum())) / (1 + len(scores))
