"""Anomaly scores that look at the items a model was trained on, beside its reconstructions.

Shapes: `B` items, `E` elements of an item, `R` reference items, `K` neighbours, `Z` elements of a latent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

N_NEIGHBOURS = 5
"""Number of nearest reference items from which an item's distance counts."""
MIN_ERROR_SHARE = 1e-2
"""Share of the mean error of all elements that is added to the error of each, so that dividing by it stays stable."""
COMBINED, NEIGHBOURS, LATENTS, ERROR = "combined", "neighbours", "latent_neighbours", "error"
DETECTOR_SCORES = (COMBINED, NEIGHBOURS, LATENTS, ERROR)
"""Names of the scores: the weighted sum of the others; the distance from neighbours among items, and among latents; and
the reconstruction error."""
WEIGHTS = (1.0, 0.5, 0.5)
"""Weights of the three parts in their sum, each part in units of what nine in ten normal items stay below. They were
chosen once, on the sets of ADBench and a table of sales, and are the same for all data."""
SCALE_QUANTILE = 0.9
ROWS_AT_ONCE = 256
"""Number of items whose distances from all reference items are computed together."""
TINY = torch.finfo(torch.float32).tiny


class Networks(Protocol):
    """What the scores need of a model."""

    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        """Return the latents of items, `[B, *latent_shape]`."""

    def reconstructions_of(self, items: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the reconstruction of each item."""


@dataclass(frozen=True, kw_only=True)
class Detector:
    """What the scores compare an item with. All tensors are float32.

    Attributes:
        items: the reference items, flattened, `[R, E]`; normal ones that the model may have been trained on.
        spreads: for each reference item, the mean distance from its neighbours among the others, `[R]`.
        latents: the latents of the reference items, flattened and standardised, `[R, Z]`.
        latent_mean: the mean by which latents are standardised, `[Z]`.
        latent_deviation: the deviation by which they are standardised, `[Z]`.
        element_errors: the mean squared error of each reconstructed element of normal items, `[E]`.
        scales: what nine in ten normal items stay below: of the two distances and of the error, `[3]`.
    """

    items: Tensor
    spreads: Tensor
    latents: Tensor
    latent_mean: Tensor
    latent_deviation: Tensor
    element_errors: Tensor
    scales: Tensor

    def contributions(self, score: str, items: Sequence[Tensor], networks: Networks) -> list[Tensor]:
        """Return how much each element contributes to a score of its item, in the shape of the item.

        The distance of the latents has no elements; it is divided among them as the rest of `combined` is.
        """
        flat = _flat(items)
        if score == NEIGHBOURS:
            found = self._distances(flat)
        elif score == ERROR:
            found = self._errors(flat, _flat(networks.reconstructions_of(items)))
        else:
            near, error = self._distances(flat), self._errors(flat, _flat(networks.reconstructions_of(items)))
            rest = WEIGHTS[0] * near / self.scales[0] + WEIGHTS[2] * error / self.scales[2]
            latent = self._latent_distances(networks.latents_of(items))
            part = latent if score == LATENTS else WEIGHTS[1] * latent / self.scales[1]
            shares = rest / rest.sum(1, keepdim=True).clamp(min=TINY)
            found = shares * part[:, None] + (rest if score == COMBINED else 0.0)
        return [part.view_as(item) for part, item in zip(found, items, strict=True)]

    def _distances(self, items: Tensor) -> Tensor:
        """Return the contributions of `[B, E]` to the local distance.

        It is the mean distance d from the K nearest reference items, divided by how far these are from their own: d /
        (s + S), where s is the mean of their spreads, and S that of all. An element contributes its share of the
        squared distance. Source: after Breunig, Kriegel, Ng, Sander 2000, definition 7, with distances in place of
        reachability and S against divisors near 0.
        """
        return torch.cat([self._distances_of_few(few) for few in torch.split(items, ROWS_AT_ONCE)])

    def _distances_of_few(self, items: Tensor) -> Tensor:
        found = distances(items, self.items).topk(min(N_NEIGHBOURS, len(self.items)), largest=False)  # [B, K]
        squares = (items[:, None] - self.items[found.indices]).square()  # [B, K, E]
        spread = self.spreads[found.indices].mean(1) + self.spreads.mean()
        return (squares / found.values.clamp(min=TINY)[..., None]).mean(1) / spread[:, None].clamp(min=TINY)

    def _latent_distances(self, latents: Tensor) -> Tensor:
        """Return the mean distance of latents `[B, *latent_shape]` from the K nearest of the reference items, `[B]`."""
        standardised = (latents.flatten(1).float() - self.latent_mean) / self.latent_deviation
        n_neighbours = min(N_NEIGHBOURS, len(self.latents))
        parts = (distances(few, self.latents) for few in torch.split(standardised, ROWS_AT_ONCE))
        return torch.cat([part.topk(n_neighbours, largest=False).values.mean(1) for part in parts])

    def _errors(self, items: Tensor, reconstructions: Tensor) -> Tensor:
        """Return the contributions of `[B, E]` to the root of the mean squared error in units of each element's own.

        An element contributes its share of the squared error.
        """
        usual = self.element_errors + MIN_ERROR_SHARE * self.element_errors.mean()
        squares = (items - reconstructions).square() / usual.clamp(min=TINY) / items.shape[1]
        return squares / squares.sum(1, keepdim=True).sqrt().clamp(min=TINY)


def fit_detector(training: Sequence[Tensor], validation: Sequence[Tensor], networks: Networks) -> Detector:
    """Return the detector for normal items.

    Args:
        training: items that the model may have been trained on; they become the reference items.
        validation: items that it was not trained on, for the scales.
        networks: the model.
    """
    items, latents = _flat(training), networks.latents_of(training).flatten(1).float()
    deviation = latents.std(0).clamp(min=1e-6)
    reconstructions = _flat(networks.reconstructions_of(validation))
    unscaled = Detector(
        items=items,
        spreads=_spreads(items),
        latents=(latents - latents.mean(0)) / deviation,
        latent_mean=latents.mean(0),
        latent_deviation=deviation,
        element_errors=(_flat(validation) - reconstructions).square().mean(0),
        scales=torch.ones(3),
    )
    scales = []
    for score in (NEIGHBOURS, LATENTS, ERROR):
        scores = torch.stack([part.sum() for part in unscaled.contributions(score, validation, networks)])
        scales.append(scores.quantile(SCALE_QUANTILE))
    return replace(unscaled, scales=torch.stack(scales).clamp(min=TINY))


def distances(items: Tensor, others: Tensor) -> Tensor:
    """Return the Euclidean distances of `[B, E]` from `[R, E]`, `[B, R]`, exact also where they are small."""
    return torch.cdist(items, others, compute_mode="donot_use_mm_for_euclid_dist")


def _spreads(items: Tensor) -> Tensor:
    """Return the mean distance of each of `[R, E]` from its neighbours among the others, `[R]`."""
    n_neighbours = min(N_NEIGHBOURS, len(items) - 1)
    nearest = (  # each is the nearest to itself
        distances(few, items).topk(n_neighbours + 1, largest=False).values[:, 1:]
        for few in torch.split(items, ROWS_AT_ONCE)
    )
    return torch.cat([part.mean(1) for part in nearest])


def _flat(items: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(items)).flatten(1).float()
