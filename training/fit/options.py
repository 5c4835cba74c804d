"""The options of `manifold fit`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["table", "series", "pictures"]


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How a file is fitted; see the options of `manifold fit`."""

    name: str
    kind: Kind | None = None
    columns: Sequence[str] = ()
    ignore: Sequence[str] = ()
    label: str | None = None
    time: str | None = None
    key: str | None = None
    window: int | None = None
    contamination: float | Literal["auto", "none"] = "auto"
    false_alarm_rate: float = 0.01
    minutes: float = 5.0
    seed: int = 0
    output: Path = Path("checkpoints")
    replace: bool = False
