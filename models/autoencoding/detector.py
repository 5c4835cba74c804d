"""Anomaly scores that look at the items a model was trained on, beside its reconstructions.

Shapes: `B` items, `E` elements of an item, `R` reference items, `K` neighbours, `Z` elements of a latent, `T` steps of
a window, `C` elements of a step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from models.autoencoding.neighbours import distances_among, mean_distances, nearest
from models.autoencoding.networks import Networks
from models.autoencoding.patches import N_SHIFTS, patch_contributions

N_NEIGHBOURS = 5
"""Number of nearest reference items from which an item's distance counts."""
MIN_ERROR_SHARE = 1e-2
"""Share of the mean error of all elements that is added to the error of each, so that dividing by it stays stable."""
COMBINED, NEIGHBOURS, LATENTS, ERROR = "combined", "neighbours", "latent_neighbours", "error"
DETECTOR_SCORES = (COMBINED, NEIGHBOURS, LATENTS, ERROR)
"""Names of the scores: the weighted sum of the others; the distance from neighbours among items, and among latents; and
the reconstruction error."""
MOVEMENT = "movement"
"""Name of a further score, of windows of series: the distance of `movement_of` from that of neighbours."""
PATCH = "patch"
"""Name of a further score, of pictures: how far the most unusual patch is from those of neighbours."""
WEIGHTS = {NEIGHBOURS: 1.0, LATENTS: 0.5, ERROR: 0.5, MOVEMENT: 1.0, PATCH: 8.0}
"""Weights of the parts in their sum, each part in units of what nine in ten normal items stay below. They were chosen
once, on the sets of ADBench, a table of sales, series of three sensors and pictures of parts and digits, and are the
same for all data."""
MAX_MOVEMENT = 5.0
"""Most that movement counts in the sum, in its units. Of series that hardly move, it would outweigh all else."""
SCALE_QUANTILE = 0.9
ROWS_AT_ONCE = 256
"""Number of items whose distances from all reference items are computed together."""
MAX_DIFFERENCES = 2**22
"""Most differences from neighbours that are held together."""
TINY = torch.finfo(torch.float32).tiny
STILL = 1e-3
"""Movement of an element, in units of its spread, that counts as none."""
MIN_MOVEMENT_DEVIATION = 1e-2
PICTURE_DIMENSIONS = 4
"""Dimensions of the reference items if they are pictures, `[R, C, H, W]`."""


@dataclass(frozen=True, kw_only=True)
class Detector:
    """What the scores compare an item with. All tensors are float32.

    Attributes:
        items: the reference items, `[R, ...]`; normal ones that the model may have been trained on.
        spreads: for each reference item, the mean distance from its neighbours among the others, `[R]`.
        latents: the latents of the reference items, flattened and standardised, `[R, Z]`.
        latent_mean: the mean by which latents are standardised, `[Z]`.
        latent_deviation: the deviation by which they are standardised, `[Z]`.
        element_errors: the mean squared error of each reconstructed element of normal items, `[E]`.
        scales: what nine in ten normal items stay below, for each score after the first, `[3]` or, of windows and
            pictures, `[4]`.
        movements: the standardised `movement_of` of the reference items, `[R, 3 C]`; None unless they are windows.
        movement_mean: the mean by which these are standardised, `[3 C]`.
        movement_deviation: the deviation by which they are standardised, `[3 C]`.
    """

    items: Tensor
    spreads: Tensor
    latents: Tensor
    latent_mean: Tensor
    latent_deviation: Tensor
    element_errors: Tensor
    scales: Tensor
    movements: Tensor | None = None
    movement_mean: Tensor | None = None
    movement_deviation: Tensor | None = None

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of the scores; the first is the sum of the others."""
        if self.movements is not None:
            return (*DETECTOR_SCORES, MOVEMENT)
        return (*DETECTOR_SCORES, PATCH) if self.items.dim() == PICTURE_DIMENSIONS else DETECTOR_SCORES

    def contributions(self, score: str, items: Sequence[Tensor], networks: Networks) -> list[Tensor]:
        """Return how much each element contributes to a score of its item, in the shape of the item.

        The distance of the latents has no elements; it is divided among them as the error is, or in `combined` as the
        rest is.
        """
        flat = _flat(items)
        if score == NEIGHBOURS:
            found = self._distances(flat, self._nearest(flat))
        elif score == MOVEMENT:
            found = self._movement_distances(items)
        elif score == PATCH:
            found = self._patch_distances(items, self._nearest(flat))
        else:
            latents = networks.latents_of(items)
            error = self._errors(flat, _flat(networks.items_of(latents, [tuple(item.shape) for item in items])))
            if score == ERROR:
                found = error
            elif score == LATENTS:
                found = _shares(error) * self._latent_distances(latents)[:, None]
            else:
                found = self._combined(items, flat, error, latents)
        return [part.view_as(item) for part, item in zip(found, items, strict=True)]

    def _combined(self, items: Sequence[Tensor], flat: Tensor, error: Tensor, latents: Tensor) -> Tensor:
        scales = dict(zip(self.score_names[1:], self.scales.tolist(), strict=True))
        neighbours = self._nearest(flat)
        rest = WEIGHTS[NEIGHBOURS] * self._distances(flat, neighbours) / scales[NEIGHBOURS]
        rest += WEIGHTS[ERROR] * error / scales[ERROR]
        if PATCH in scales:
            rest += WEIGHTS[PATCH] * self._patch_distances(items, neighbours) / scales[PATCH]
        if MOVEMENT in scales:
            movement = self._movement_distances(items) / scales[MOVEMENT]
            excess = (movement.sum(1, keepdim=True) / MAX_MOVEMENT).clamp(min=1)
            rest += WEIGHTS[MOVEMENT] * movement / excess
        latent = WEIGHTS[LATENTS] * self._latent_distances(latents) / scales[LATENTS]
        combined: Tensor = rest + _shares(rest) * latent[:, None]
        return combined

    def _nearest(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distances of `[B, E]` from the K nearest reference items, and their indices: both `[B, K]`."""
        references = self.items.flatten(1)
        found = [nearest(few, references, N_NEIGHBOURS) for few in torch.split(items, ROWS_AT_ONCE)]
        return torch.cat([values for values, _ in found]), torch.cat([indices for _, indices in found])

    def _distances(self, items: Tensor, neighbours: tuple[Tensor, Tensor]) -> Tensor:
        """Return the contributions of `[B, E]` to the local distance; `neighbours` are what `_nearest` returns.

        It is the mean distance d from the K nearest reference items, divided by how far these are from their own: d /
        (s + S), where s is the mean of their spreads, and S that of all. An element contributes its share of the
        squared distance. Source: after Breunig, Kriegel, Ng, Sander 2000, definition 7, with distances in place of
        reachability and S against divisors near 0.
        """
        values, indices = neighbours
        references, mean_spread = self.items.flatten(1), self.spreads.mean()
        n_at_once = max(1, MAX_DIFFERENCES // (N_NEIGHBOURS * items.shape[1]))
        found = []
        for few, distances, places in _split(n_at_once, items, values, indices):
            spread = self.spreads[places].mean(1) + mean_spread
            parts = _parts_of_distance(few, references, distances, places)
            found.append(parts / spread[:, None].clamp(min=TINY))
        return torch.cat(found)

    def _patch_distances(self, pictures: Sequence[Tensor], neighbours: tuple[Tensor, Tensor]) -> Tensor:
        """Return the contributions of the elements of pictures to their patch scores, `[B, E]`."""
        batch, (_, indices) = torch.stack(list(pictures)).float(), neighbours
        n_at_once = max(1, MAX_DIFFERENCES // (N_NEIGHBOURS * N_SHIFTS * batch[0].numel()))
        return torch.cat(
            [patch_contributions(few, self.items[places]) for few, places in _split(n_at_once, batch, indices)]
        )

    def _latent_distances(self, latents: Tensor) -> Tensor:
        """Return the mean distance of latents `[B, *latent_shape]` from the K nearest of the reference items, `[B]`."""
        standardised = (latents.flatten(1).float() - self.latent_mean) / self.latent_deviation
        return mean_distances(standardised, self.latents, N_NEIGHBOURS, ROWS_AT_ONCE)

    def _errors(self, items: Tensor, reconstructions: Tensor) -> Tensor:
        """Return the contributions of `[B, E]` to the root of the mean squared error in units of each element's own.

        An element contributes its share of the squared error.
        """
        usual = self.element_errors + MIN_ERROR_SHARE * self.element_errors.mean()
        squares = (items - reconstructions).square() / usual.clamp(min=TINY) / items.shape[1]
        return squares / squares.sum(1, keepdim=True).sqrt().clamp(min=TINY)

    def _movement_distances(self, windows: Sequence[Tensor]) -> Tensor:
        """Return the contributions of windows `[T, C]` to the mean distance of their movement, `[B, T C]`.

        All steps of a window contribute the same, an element its share of the squared distance.
        """
        if self.movements is None or self.movement_mean is None or self.movement_deviation is None:
            raise NotImplementedError("the reference items are no windows")
        batch = torch.stack(list(windows)).float()
        movement = (movement_of(batch) - self.movement_mean) / self.movement_deviation
        values, indices = nearest(movement, self.movements, N_NEIGHBOURS)
        n_windows, n_steps, width = batch.shape
        parts = _parts_of_distance(movement, self.movements, values, indices).view(n_windows, 3, width).sum(1)
        spread: Tensor = (parts[:, None] / n_steps).expand(-1, n_steps, -1).flatten(1)
        return spread


def movement_of(windows: Tensor) -> Tensor:
    """Return how each element of windows `[B, T, C]` moves, `[B, 3 C]`.

    It is the mean, the logarithm of the standard deviation, and that of the root mean square of its steps. A value that
    is stuck, or that trembles, is near to normal windows in all elements, and far from them in these.
    """
    deviation = windows.std(1, correction=0)
    step = windows.diff(dim=1).square().mean(1).sqrt()
    return torch.cat([windows.mean(1), (deviation + STILL).log(), (step + STILL).log()], 1)


def fit_detector(
    training: Sequence[Tensor], validation: Sequence[Tensor], networks: Networks, *, are_windows: bool = False
) -> Detector:
    """Return the detector for normal items.

    Args:
        training: items that the model may have been trained on; they become the reference items.
        validation: items that it was not trained on, for the scales.
        networks: the model.
        are_windows: whether items are windows `[T, C]` of series, whose movement counts as well.
    """
    items, latents = torch.stack(list(training)).float(), networks.latents_of(training).flatten(1).float()
    deviation = latents.std(0).clamp(min=1e-6)
    shapes = [tuple(item.shape) for item in validation]
    restored = _flat(networks.items_of(networks.latents_of(validation), shapes))
    unscaled = Detector(
        items=items,
        spreads=distances_among(items.flatten(1), N_NEIGHBOURS, ROWS_AT_ONCE),
        latents=(latents - latents.mean(0)) / deviation,
        latent_mean=latents.mean(0),
        latent_deviation=deviation,
        element_errors=(_flat(validation) - restored).square().mean(0),
        scales=torch.ones(3),
    )
    if are_windows:
        movement = movement_of(items)
        mean, deviation = movement.mean(0), movement.std(0).clamp(min=MIN_MOVEMENT_DEVIATION)
        unscaled = replace(
            unscaled, movements=(movement - mean) / deviation, movement_mean=mean, movement_deviation=deviation
        )
    scales = []
    for score in unscaled.score_names[1:]:
        scores = torch.stack([part.sum() for part in unscaled.contributions(score, validation, networks)])
        scales.append(scores.quantile(SCALE_QUANTILE))
    return replace(unscaled, scales=torch.stack(scales).clamp(min=TINY))


def _split(n_at_once: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Return the next `n_at_once` of each tensor, again and again."""
    return zip(*(torch.split(tensor, n_at_once) for tensor in tensors), strict=True)


def _parts_of_distance(points: Tensor, references: Tensor, distances: Tensor, indices: Tensor) -> Tensor:
    """Return the part of each element of `[B, E]` in the mean distance from neighbours, whose indices are `[B, K]`."""
    squares = (points[:, None] - references[indices]).square()  # [B, K, E]
    return (squares / distances.clamp(min=TINY)[..., None]).mean(1)


def _shares(parts: Tensor) -> Tensor:
    """Return `[B, E]` divided by its sums."""
    return parts / parts.sum(1, keepdim=True).clamp(min=TINY)


def _flat(items: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(items)).flatten(1).float()
