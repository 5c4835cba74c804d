"""Maps in strips, for pictures whose maps as a whole would take too much memory.

A map is computed strip by strip from the one before it, and only a strip of most maps exists at a time. The statistics
of each normalisation are those of the whole map, from a pass over all of its strips before the first is normalised, so
that the numbers are those of the whole picture, up to rounding. Each residual block computes its first convolution
twice for that.

Shapes: `B` batch, `D`, `E` widths, `H` height, `W` width of the maps. A line is a row of the maps, or a column where
they are wider than high.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from models.autoencoders.kl.blocks import GroupNorm, ResidualBlock
from models.ops.cooperation import begin_part

STRIP_POSITIONS = 2**16
"""Most positions of a strip, unless a single line has more."""
ROWS, COLUMNS = 2, 3
"""The axis of the maps that lines are counted along."""


class Maps(ABC):
    """Maps that are read in strips.

    Attributes:
        axis: the axis that lines are counted along, `ROWS` or `COLUMNS`.
        n_lines: number of lines.
        line_length: number of positions of a line.
    """

    def __init__(self, axis: int, n_lines: int, line_length: int) -> None:
        self.axis, self.n_lines, self.line_length = axis, n_lines, line_length

    @abstractmethod
    def read(self, first: int, last: int) -> Tensor:
        """Return the lines from `first` to before `last`, `[B, D, last - first, W]` if lines are rows."""

    @abstractmethod
    def release(self, first: int) -> None:
        """Free what is only needed for lines before `first`, which will not be read again."""

    def strips(self) -> Iterator[Tensor]:
        """Yield the maps in strips of at most `STRIP_POSITIONS` positions."""
        n_lines = max(1, STRIP_POSITIONS // self.line_length)
        for first in range(0, self.n_lines, n_lines):
            begin_part()
            yield self.read(first, min(first + n_lines, self.n_lines))

    def pad(self, maps: Tensor, before: int, after: int, beside: tuple[int, int]) -> Tensor:
        """Return a strip with lines of zeros before and after it, and with zeros at the two ends of each line."""
        widths = (*beside, before, after) if self.axis == ROWS else (before, after, *beside)
        return functional.pad(maps, widths)


class StoredMaps(Maps):
    """Maps in memory, as strips that follow each other."""

    def __init__(self, axis: int, strips: Sequence[Tensor]) -> None:
        super().__init__(axis, sum(strip.shape[axis] for strip in strips), strips[0].shape[ROWS + COLUMNS - axis])
        self._strips = list(strips)
        self._first = 0

    @classmethod
    def compute(cls, maps: Maps) -> "StoredMaps":
        """Store maps, and release those that they are computed from as soon as they are read."""
        strips, n_lines = [], 0
        for strip in maps.strips():
            strips.append(strip)
            n_lines += strip.shape[maps.axis]
            maps.release(n_lines)
        return cls(maps.axis, strips)

    @override
    def read(self, first: int, last: int) -> Tensor:
        parts, start = [], self._first
        for strip in self._strips:
            end = start + strip.shape[self.axis]
            low, high = max(first, start), min(last, end)
            if low < high:
                parts.append(strip.narrow(self.axis, low - start, high - low))
            start = end
        return parts[0] if len(parts) == 1 else torch.cat(parts, self.axis)

    @override
    def release(self, first: int) -> None:
        while self._strips and self._first + self._strips[0].shape[self.axis] <= first:
            self._first += self._strips.pop(0).shape[self.axis]


class ComputedMaps(Maps):
    """Maps that are computed from others, their source, whenever they are read."""

    def __init__(self, source: Maps, *, n_in: int = 1, n_out: int = 1, reach: int = 0) -> None:
        """Describe maps that have `n_out` lines for every `n_in` of the source.

        A line is computed from those of the source at its place and from `reach` before and after them.
        """
        super().__init__(source.axis, source.n_lines * n_out // n_in, source.line_length * n_out // n_in)
        self._source, self._n_in, self._n_out, self._reach = source, n_in, n_out, reach

    @override
    def release(self, first: int) -> None:
        needed = first * self._n_in // self._n_out - self._reach
        self._source.release(needed)


class Convolved(ComputedMaps):
    """A convolution of 3x3 that keeps the sides."""

    def __init__(self, source: Maps, convolution: nn.Conv2d) -> None:
        super().__init__(source, reach=1)
        self._convolution = convolution

    @override
    def read(self, first: int, last: int) -> Tensor:
        before, after = int(first == 0), int(last == self.n_lines)
        maps = self._source.read(first - 1 + before, last + 1 - after)
        maps = self.pad(maps, before, after, (1, 1))
        return functional.conv2d(maps, self._convolution.weight, self._convolution.bias)


class Doubled(ComputedMaps):
    """Maps of twice the sides, which have every position four times."""

    def __init__(self, source: Maps) -> None:
        super().__init__(source, n_out=2)

    @override
    def read(self, first: int, last: int) -> Tensor:
        doubled = functional.interpolate(self._source.read(first // 2, (last + 1) // 2), scale_factor=2.0)
        return doubled.narrow(self.axis, first % 2, last - first)


class Halved(ComputedMaps):
    """A convolution of 3x3 with a stride of 2, whose zeros are below the maps and to their right alone."""

    def __init__(self, source: Maps, convolution: nn.Conv2d) -> None:
        super().__init__(source, n_in=2)
        self._convolution = convolution

    @override
    def read(self, first: int, last: int) -> Tensor:
        after = int(last == self.n_lines)
        maps = self.pad(self._source.read(2 * first, 2 * last + 1 - after), 0, after, (0, 1))
        return functional.conv2d(maps, self._convolution.weight, self._convolution.bias, stride=2)


class Normalised(ComputedMaps):
    """A normalisation by the statistics of the whole maps, and an activation. All strips are read once to begin with.

    Source: the statistics of strips are put together as in Chan, Golub, LeVeque 1983, equation 2.1.
    """

    def __init__(self, source: Maps, norm: GroupNorm, activation: nn.Module) -> None:
        super().__init__(source)
        self._activation = activation
        mean, variance = _statistics(source, norm.num_groups)
        n_in_group = norm.num_channels // norm.num_groups
        deviation = (variance + norm.eps).sqrt().repeat_interleave(n_in_group, 1)
        scale = norm.weight.double() / deviation  # (B, D)
        shift = norm.bias.double() - mean.repeat_interleave(n_in_group, 1) * scale
        self._scale, self._shift = (values.to(norm.weight.dtype)[:, :, None, None] for values in (scale, shift))

    @override
    def read(self, first: int, last: int) -> Tensor:
        maps = torch.addcmul(self._shift, self._source.read(first, last), self._scale)
        output: Tensor = self._activation(maps)
        return output


class _Remembered(ComputedMaps):
    """Maps that are expensive to compute: the last strip is kept for who reads a part of it again."""

    def __init__(self, source: Maps) -> None:
        super().__init__(source)
        self._first, self._last = 0, 0
        self._strip: Tensor | None = None

    @override
    def read(self, first: int, last: int) -> Tensor:
        if self._strip is None or not self._first <= first <= last <= self._last:
            self._strip = None  # is freed before the next is computed
            self._strip = self._source.read(first, last)
            self._first, self._last = first, last
        return self._strip.narrow(self.axis, first - self._first, last - first)


class Residual(ComputedMaps):
    """What a residual block makes of maps."""

    def __init__(self, source: Maps, block: ResidualBlock) -> None:
        super().__init__(source if isinstance(source, StoredMaps) else _Remembered(source), reach=2)
        hidden = Convolved(Normalised(self._source, block.norm1, block.activation), block.conv1)
        self._branch = Convolved(Normalised(hidden, block.norm2, block.activation), block.conv2)
        self._shortcut = block.shortcut

    @override
    def read(self, first: int, last: int) -> Tensor:
        branch = self._branch.read(first, last)
        return branch.add_(self._shortcut(self._source.read(first, last)))


def lines_of(maps: Tensor) -> StoredMaps:
    """Return maps `[B, D, H, W]` as stored ones, whose lines run across the longer side."""
    return StoredMaps(ROWS if maps.shape[ROWS] >= maps.shape[COLUMNS] else COLUMNS, [maps])


def join(maps: Maps) -> Tensor:
    """Compute maps as a whole, `[B, D, H, W]`."""
    return torch.cat(list(maps.strips()), maps.axis)


def _statistics(maps: Maps, n_groups: int) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance of each group of channels, `[B, n_groups]` each in float64."""
    n_lines, mean, squares = 0, torch.zeros(()), torch.zeros(())
    for strip in maps.strips():
        groups = strip.reshape(len(strip), n_groups, -1)  # (B, groups, numbers)
        variance, centre = (value.double() for value in torch.var_mean(groups.float(), dim=2, correction=0))
        n_new = strip.shape[maps.axis]
        n_all = n_lines + n_new
        mean, squares = mean.to(centre), squares.to(centre)
        squares = squares + variance * n_new + (centre - mean).square() * (n_lines * n_new / n_all)
        mean = mean + (centre - mean) * (n_new / n_all)
        n_lines = n_all
    return mean, squares / n_lines
