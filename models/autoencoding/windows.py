"""Long series as overlapping windows of the length that a model was trained on.

Shapes: `T` steps of a series, `N` windows, `L` steps of a window, `E` elements of a step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.ops.cooperation import begin_part

WINDOWS_AT_ONCE = 256
"""Number of windows that are computed together."""


@dataclass(frozen=True)
class Windows:
    """Windows of `length` steps, each of which begins `stride` steps after the one before it.

    The last window ends with the series, so that it may begin fewer steps after the one before it.
    """

    length: int
    stride: int

    @property
    def n_per_step(self) -> int:
        """Number of windows that contain a step, ends of the series aside."""
        return -(-self.length // self.stride)

    def starts(self, n_steps: int) -> Tensor:
        """Return the first step of each window, `[N]`, of a series that has at least `length` steps."""
        last = n_steps - self.length
        return torch.tensor([*range(0, last, self.stride), last])

    def split(self, series: Tensor) -> Tensor:
        """Return the windows `[N, L, E]` of a series `[T, E]`."""
        return series.unfold(0, self.length, 1)[self.starts(len(series))].transpose(1, 2)

    def mean(self, windows: Tensor, n_steps: int) -> Tensor:
        """Return for each step the mean over the windows that contain it, `[T, E]`, of windows `[N, L, E]`."""
        places = self._places(n_steps).flatten()
        sums = windows.new_zeros(n_steps, windows.shape[2]).index_add_(0, places, windows.flatten(0, 1))
        return sums / self.n_containing(n_steps)[:, None]

    def least(self, scores: Tensor, n_steps: int) -> Tensor:
        """Return for each step the least score of the windows that contain it, `[T]`, of scores `[N]`."""
        places = self._places(n_steps)
        least = scores.new_full((n_steps,), torch.inf)
        return least.scatter_reduce_(0, places.flatten(), scores[:, None].expand_as(places).flatten(), "amin")

    def n_containing(self, n_steps: int) -> Tensor:
        """Return the number of windows that contain each step of a series, `[T]`."""
        return self._places(n_steps).flatten().bincount(minlength=n_steps)

    def _places(self, n_steps: int) -> Tensor:
        """Return the step of the series that each step of each window is, `[N, L]`."""
        return self.starts(n_steps)[:, None] + torch.arange(self.length)


class Reconstructing(Protocol):
    """What `reconstructions` needs of a model: its windows, if its items are long series, and its reconstructions."""

    windows: Windows | None

    def reconstructions_of(self, items: Sequence[Tensor]) -> list[Tensor]:
        """Return the reconstruction of each item."""


def reconstructions(model: Reconstructing, items: Sequence[Tensor]) -> list[Tensor]:
    """Return the reconstruction of each item, in its shape; those of long series are means over the windows."""
    windows = model.windows
    if windows is None:
        return model.reconstructions_of(items)
    parts = apply_to_windows(windows, items, model.reconstructions_of)
    return [windows.mean(part, len(item)) for part, item in zip(parts, items, strict=True)]


def apply_to_windows(
    windows: Windows, items: Sequence[Tensor], function: Callable[[Sequence[Tensor]], Sequence[Tensor]]
) -> list[Tensor]:
    """Return what a function makes of the windows of each series `[T, E]`: for each series a tensor `[N, …]`."""
    split = [windows.split(item) for item in items]
    results = []
    for few in torch.split(torch.cat(split), WINDOWS_AT_ONCE):
        begin_part()
        results.append(torch.stack(list(function(few.unbind()))))
    return list(torch.split(torch.cat(results), [len(part) for part in split]))
