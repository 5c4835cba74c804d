"""The result of a fit."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.fit.comparison import Figures
from training.fit.options import Kind


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What was fitted; see the JSON output of `manifold fit`."""

    folder: Path
    kind: Kind
    window: int | None
    n_rows: Mapping[str, int]
    columns: list[dict[str, Any]]
    left_out: Mapping[str, str]
    n_steps: int
    seconds: float
    false_alarm_rate: float
    threshold: float
    found_share: float | None
    figures: Mapping[str, Figures] | None

    def to_json(self) -> dict[str, Any]:
        """Return the result in the types of JSON."""
        figures = None if self.figures is None else {name: asdict(each) for name, each in self.figures.items()}
        return {
            "folder": str(self.folder),
            "kind": self.kind,
            "window": self.window,
            "rows": dict(self.n_rows),
            "columns": self.columns,
            "left_out": dict(self.left_out),
            "steps": self.n_steps,
            "seconds": self.seconds,
            "false_alarm_rate": self.false_alarm_rate,
            "threshold": self.threshold,
            "found_share": self.found_share,
            "figures": figures,
        }
