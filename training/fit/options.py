"""The options of `manifold fit`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.fit.schema import ColumnSchema, read_schema

Kind = Literal["table", "series", "pictures"]
LICENCE = "your own"
"""Licence of a user's own checkpoint, unless they name another."""


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How a file is fitted; see the options of `manifold fit`."""

    name: str
    kind: Kind | None = None
    family: str | None = None
    columns: Sequence[str] = ()
    ignore: Sequence[str] = ()
    schema: Path | None = None
    label: str | None = None
    time: str | None = None
    key: str | None = None
    window: int | None = None
    stride: int | None = None
    contamination: float | Literal["auto", "none"] = "auto"
    false_alarm_rate: float = 0.01
    minutes: float = 5.0
    seed: int = 0
    output: Path = Path("checkpoints")
    replace: bool = False

    def column_schema(self) -> Mapping[str, ColumnSchema]:
        """Return what the file of the option `schema` says about columns.

        Raises:
            DataError: the file is wrong.
        """
        return {} if self.schema is None else read_schema(self.schema)
