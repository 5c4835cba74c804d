"""A user's own data, ready to train on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.codecs import ItemCodec
from models.codecs.table import TableCodec
from models.codecs.table.columns import Column
from training.fit.options import Kind
from training.fit.training import Split


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A user's own data, ready to train on.

    Attributes:
        codec: the codec of the items.
        rows: the codec of the rows that items are, or are made of; None for pictures.
        description: the codec in the types of JSON, for the checkpoint.
        left_out: the columns that the model does not see, and why.
        split: the normal items.
        anomalies: items with labelled anomalies: rows, pictures, or series in which some steps are.
        is_anomaly: whether each of these rows, or steps of these series, is labelled.
        n_rows: number of rows in the file, or of pictures in the folder.
        n_anomalies: how many of them are labelled anomalies.
        n_suspects: how many rows, steps or pictures without a label are left out, because they look like anomalies.
        example: an item, in the types of JSON.
    """

    codec: ItemCodec
    rows: TableCodec | None
    description: Mapping[str, Any]
    left_out: Mapping[str, str]
    split: Split
    anomalies: Sequence[Tensor]
    is_anomaly: NDArray[np.bool_]
    n_rows: int
    n_anomalies: int
    n_suspects: int
    example: Any

    @property
    def columns(self) -> Sequence[Column]:
        """The columns that the model sees; none of pictures."""
        return () if self.rows is None else self.rows.columns

    @property
    def kind(self) -> Kind:
        """What the items are."""
        return "pictures" if self.rows is None else "table" if self.split.windows is None else "series"

    @property
    def noun(self) -> str:
        """What is counted: rows, steps of series, or pictures."""
        return "pictures" if self.rows is None else "rows" if self.split.windows is None else "steps"
