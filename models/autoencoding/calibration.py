"""What is measured of a trained autoencoder and stored beside its weights: how normal items score and are encoded."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from models.autoencoding.mixture import GaussianMixture
from models.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Facts about items the model was not trained on, and about the latents of those it was.

    `scores` holds, for each anomaly score, those of held-out normal items, ascending. `percentile` of them is the
    threshold unless a request says otherwise. `latent_mean` and `latent_deviation` have the model's latent shape.
    `mixture` is fitted to the flattened latents; None for models whose prior is enough.
    """

    scores: Mapping[str, Tensor]
    percentile: float
    latent_mean: Tensor
    latent_deviation: Tensor
    mixture: GaussianMixture | None

    def tensors(self) -> dict[str, Tensor]:
        """All of it, named."""
        tensors = {f"scores.{name}": scores for name, scores in self.scores.items()}
        tensors |= {
            "percentile": torch.tensor(self.percentile),
            "latent_mean": self.latent_mean,
            "latent_deviation": self.latent_deviation,
        }
        if self.mixture:
            tensors |= {f"mixture.{field.name}": getattr(self.mixture, field.name) for field in fields(GaussianMixture)}
        return tensors

    def to_bytes(self) -> bytes:
        """A safetensors file."""
        return save({name: tensor.contiguous() for name, tensor in self.tensors().items()})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Calibration":
        """What `to_bytes` wrote.

        Raises:
            CheckpointError: it is no safetensors file, or lacks a key.
        """
        try:
            tensors = load(data)
            mixture: dict[str, Any] = _below(tensors, "mixture.")
            return cls(
                scores=_below(tensors, "scores."),
                percentile=float(tensors["percentile"]),
                latent_mean=tensors["latent_mean"],
                latent_deviation=tensors["latent_deviation"],
                mixture=GaussianMixture(**mixture) if mixture else None,
            )
        except (SafetensorError, KeyError, TypeError) as error:
            raise CheckpointError(f"the calibration is not readable: {error}") from error

    def threshold(self, score: str, percentile: float) -> float:
        """The `percentile`, in percent, of the normal items' scores."""
        return float(torch.quantile(self.scores[score].double(), percentile / 100))

    def percentile_of(self, score: str, value: float) -> float:
        """Share of the normal items, in percent, that score no higher."""
        scores = self.scores[score]
        return 100.0 * int((scores <= value).sum()) / len(scores)

    def p_value(self, score: str, value: float) -> float:
        """Conformal: if the item were one of the normal ones, it would score as high with at most this probability.

        Source: Vovk, Gammerman, Shafer 2005, chapter 2.
        """
        scores = self.scores[score]
        return (1 + int((scores >= value).sum())) / (1 + len(scores))


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
