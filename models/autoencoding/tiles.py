"""Large pictures in parts, for networks whose output at a place depends only on what is near it.

Shapes: `B` batch, `C` channels that a network reads, `E` those that it makes, `H` height, `W` width. A position is a
row and a column of a latent.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from models.ops.cooperation import begin_part


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiles:
    """Squares of positions, each of which is computed together with its surroundings.

    Attributes:
        side: rows and columns of a tile, in positions.
        halo: rows and columns around a tile that are computed with it and then dropped. It must reach as far as what
            the networks read for one position, so that a picture in tiles has the numbers of the whole one.
    """

    side: int
    halo: int

    def apply(self, network: Callable[[Tensor], Tensor], maps: Tensor, *, n_in: int, n_out: int) -> Tensor:
        """Return what a network makes of maps, `[B, E, n_out H / n_in, n_out W / n_in]` of `[B, C, H, W]`.

        Args:
            network: the network.
            maps: what it reads.
            n_in: rows or columns of the maps that are one position.
            n_out: rows or columns of the output that are one position.
        """
        rows, columns = maps.shape[2] // n_in, maps.shape[3] // n_in
        if max(rows, columns) <= self.side:
            return network(maps)
        output: Tensor | None = None
        for top in range(0, rows, self.side):
            for left in range(0, columns, self.side):
                begin_part()
                (first_row, last_row), (first_column, last_column) = (
                    self._around(top, rows),
                    self._around(left, columns),
                )
                part = network(maps[:, :, first_row * n_in : last_row * n_in, first_column * n_in : last_column * n_in])
                if output is None:
                    output = part.new_empty(len(maps), part.shape[1], rows * n_out, columns * n_out)
                y, x = (top - first_row) * n_out, (left - first_column) * n_out
                place = output[:, :, top * n_out : (top + self.side) * n_out, left * n_out : (left + self.side) * n_out]
                place.copy_(part[:, :, y : y + place.shape[2], x : x + place.shape[3]])
        return maps if output is None else output

    def _around(self, start: int, n_positions: int) -> tuple[int, int]:
        """Return the first position around a tile, and the one behind its last, of a side with so many."""
        return max(0, start - self.halo), min(n_positions, start + self.side + self.halo)
