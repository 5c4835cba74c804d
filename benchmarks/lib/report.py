"""Print the results of a benchmark as Markdown or JSON, and draw the pictures of docs/performance.md."""

import io
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

FOLDER = Path("docs/performance")
T = TypeVar("T")


@dataclass(frozen=True)
class Ratio:
    """A ratio of two measurements, and its least acceptable value; None if there is no demand."""

    name: str
    ratio: float
    target: float | None

    @property
    def verdict(self) -> str:
        """Return whether the target is met, in words; empty without a target."""
        if self.target is None:
            return ""
        return "holds" if self.ratio >= self.target else "falls short"


@dataclass(frozen=True, kw_only=True)
class Report:
    """The results of a benchmark as a section of docs/performance.md, with bars for a picture if there are any."""

    name: str
    title: str
    command: str
    parts: Sequence[str]
    hardware: str = ""
    """The machine; by default the processor of this one."""
    note: str = ""
    """Sentences that explain the tables."""
    bars: Mapping[str, float] | None = None
    bars_label: str = ""
    """What the bars show, as the text of the picture."""

    @property
    def markdown(self) -> str:
        """Return the section: title, command, machine, note, picture and parts; empty parts are left out."""
        picture = f"![{self.bars_label}]({FOLDER.name}/{self.name}.png)" if self.bars else ""
        description = f"`{self.command}` on {self.hardware or machine()} {self.note}".rstrip()
        head = (f"## {self.title}", description, picture)
        return "\n\n".join(part for part in (*head, *self.parts) if part)

    def write_picture(self, folder: Path = FOLDER) -> None:
        """Write `NAME.png` with a bar for each value."""
        if self.bars is None:
            raise ValueError(f"the report {self.name} has no bars")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.png").write_bytes(bar_chart(self.bars, self.bars_label))


def json_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add the option `--json`, which `print_report` takes, to a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of Markdown.")(command)


def picture_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add the option `--picture`, which `print_report` takes, to a command."""
    help_text = f"Also write a picture to {FOLDER} in the current directory."
    return click.option("--picture", is_flag=True, help=help_text)(command)


def print_report(report: Report, results: Mapping[str, Any], *, as_json: bool, picture: bool = False) -> None:
    """Print a report as Markdown, or the results as JSON; write the picture if asked."""
    if as_json:
        print_json(results)
    else:
        click.echo(report.markdown)
    if picture:
        report.write_picture()


def print_json(results: Mapping[str, Any]) -> None:
    """Print results as one JSON object."""
    click.echo(json.dumps(results, indent=2))


def progress(description: str) -> Progress:
    """Return a progress bar that counts on the standard error, with the time left."""
    columns = (TextColumn(description), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), refresh_per_second=2)  # a load may run in this process


def machine() -> str:
    """Return a sentence that names the processor, its cores, the operating system and Python.

    Processors of the same name may differ twofold in speed, so their family and model are named too.
    """
    path = Path("/proc/cpuinfo")
    pairs = (line.partition(":") for line in path.read_text().splitlines()) if path.exists() else ()
    info = {key.strip(): value.strip() for key, _, value in pairs}
    processor = platform.machine()
    if "model name" in info:
        processor = f"{info['model name']} (family {info.get('cpu family')}, model {info.get('model')})"
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}."


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratio_table(ratios: Sequence[Ratio]) -> str:
    """Return a Markdown table of ratios with their targets; empty without ratios."""
    if not ratios:
        return ""
    rows = [
        [each.name, f"{each.ratio:.2f}", "" if each.target is None else f"{each.target:g}", each.verdict]
        for each in ratios
    ]
    return table(["ratio", "measured", "at least", ""], rows)


def bar_chart(values: Mapping[str, float], label: str) -> bytes:
    """Return a PNG of horizontal bars, the longest at the top."""
    from matplotlib.figure import Figure  # an optional dependency

    ordered = sorted(values.items(), key=lambda pair: pair[1])
    figure = Figure(figsize=(7, 0.35 * len(ordered) + 0.8), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh([name for name, _ in ordered], [value for _, value in ordered])
    axes.bar_label(bars, [f"{value:,.0f}" for _, value in ordered], padding=3)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()
