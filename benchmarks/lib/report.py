"""What was measured, as Markdown and pictures."""

import io
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ratio:
    """Of two measurements, and the least that it is to be; None where nothing is demanded."""

    name: str
    value: float
    least: float | None


def machine() -> str:
    """A line that names the processor, its cores, and Python."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}."


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; all columns but the first are aligned right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratio_table(ratios: Sequence[Ratio]) -> str:
    """Each with its demand, and whether it holds."""
    rows = [
        [one.name, f"{one.value:.2f}", "" if one.least is None else f"{one.least:g}", _holds(one)] for one in ratios
    ]
    return table(["ratio", "measured", "at least", ""], rows)


def bars(values: Mapping[str, float], unit: str) -> bytes:
    """Horizontal bars as PNG, the longest at the top."""
    from matplotlib.figure import Figure  # an extra; only reports need it

    its = sorted(values.items(), key=lambda pair: pair[1])
    figure = Figure(figsize=(7, 0.35 * len(its) + 0.8), layout="constrained")
    axes = figure.subplots()
    drawn = axes.barh([name for name, _ in its], [value for _, value in its])
    axes.bar_label(drawn, [f"{value:,.0f}" for _, value in its], padding=3)
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def _holds(ratio: Ratio) -> str:
    if ratio.least is None:
        return ""
    return "holds" if ratio.value >= ratio.least else "falls short"


def _processor() -> str:
    """Its name, and its family and model: one name may stand for several, of which one is twice as fast as another."""
    info = Path("/proc/cpuinfo")
    pairs = (line.partition(":") for line in info.read_text().splitlines()) if info.exists() else ()
    known = {key.strip(): value.strip() for key, _, value in pairs}
    if "model name" not in known:
        return platform.machine()
    return f"{known['model name']} (family {known.get('cpu family')}, model {known.get('model')})"
