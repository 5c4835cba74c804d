"""What `manifold fit` tells while it works: as text for people, or as lines of JSON for programs."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table as PrintedTable

from models.codecs import ImageCodec, TableSeriesCodec
from training.fit.comparison import OWN
from training.fit.prepared import Prepared
from training.fit.result import FitResult
from training.fit.training import OnStep

MIN_INTERVAL_S = 0.2
"""Least time in seconds between two lines of JSON about the progress."""


class Report(Protocol):
    """Tells about a fit."""

    def note(self, text: str) -> None:
        """Tell a sentence about what was decided."""

    def found(self, source: str, data: Prepared) -> None:
        """Tell what a file of this name holds."""

    def progress(self, stage: str) -> AbstractContextManager[OnStep]:
        """Return what a training reports its progress to while the context is open."""

    def finished(self, result: FitResult, noun: str) -> None:
        """Tell the result; `noun` says what is counted, in the plural."""


class TextReport:
    """A report for people."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def note(self, text: str) -> None:
        """Print a sentence."""
        self._console.print(text)

    def found(self, source: str, data: Prepared) -> None:
        """Print the columns that the model sees, and those that it does not see."""
        codec = data.codec
        if isinstance(codec, ImageCodec):
            size = f"{codec.width} by {codec.height}"
            self._console.print(f"{source}: {data.n_rows} pictures, which the model sees as {size}")
            return
        order = "without order"
        if isinstance(codec, TableSeriesCodec):
            order = f"in windows of {codec.length}"
            order += f", a step every {codec.time.step_s:g} s of {codec.time.name!r}" if codec.time else ""
        seen = f"of which the model sees {len(data.columns)} columns"
        self._console.print(f"{source}: {data.n_rows} rows {order}, {seen}:")
        printed = PrintedTable(box=None, padding=(0, 2, 0, 2), show_header=False)
        for column in data.columns:
            printed.add_row(column.name, column.kind, "with gaps" if column.has_gaps else "")
        for name, reason in data.left_out.items():
            printed.add_row(f"[dim]{name}", "[dim]left out", f"[dim]{reason}")
        self._console.print(printed)

    @contextmanager
    def progress(self, stage: str) -> Iterator[OnStep]:
        """Show a line of progress while the context is open."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("error {task.fields[error]:.4f} after {task.fields[steps]} steps"),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(stage, total=1.0, error=float("nan"), steps=0)

            def report(done: float, steps: int, error: float) -> None:
                progress.update(task, completed=done, steps=steps, error=error)

            yield report

    def finished(self, result: FitResult, noun: str) -> None:
        """Print the threshold, and the figures beside those of other detectors."""
        show = self._console.print
        show(
            f"trained for {result.n_steps} steps in {result.seconds:.0f} s; the threshold is {result.threshold:.4g}, "
            f"which at most {result.false_alarm_rate:.3g} of normal {noun} exceed"
        )
        if result.found_share is not None:
            show(f"it finds {result.found_share:.1%} of the {result.n_rows['anomalies']} labelled anomalies")
        if result.figures:
            printed = PrintedTable("detector", "AUROC", "average precision", box=None, padding=(0, 2, 0, 2))
            for name, each in result.figures.items():
                printed.add_row(name, f"{each.auroc:.4f}", f"{each.average_precision:.4f}")
            show(printed)
            best = max(result.figures.items(), key=lambda pair: pair[1].auroc)[0]
            if best != OWN:
                show(f"[yellow]On these rows, {best} is better than this model.")
        show(f"wrote {result.folder}; `manifold serve` serves it")


class JsonLinesReport:
    """A report for programs: each line is an object with one member, which says what the line is about."""

    def __init__(self, write: Callable[[str], object]) -> None:
        """Write each line, without a line feed, by calling a function."""
        self._write = write

    def note(self, text: str) -> None:
        """Write the line `note`."""
        self._line("note", text)

    def found(self, source: str, data: Prepared) -> None:
        """Write the line `found`."""
        self._line("found", describe(data))

    @contextmanager
    def progress(self, stage: str) -> Iterator[OnStep]:
        """Write lines `progress`, not more often than is of use to anybody."""
        written_at_s = -math.inf

        def report(done: float, steps: int, error: float) -> None:
            nonlocal written_at_s
            now_s = time.monotonic()
            if now_s - written_at_s >= MIN_INTERVAL_S:
                written_at_s = now_s
                finite = error if math.isfinite(error) else None
                self._line("progress", {"stage": stage, "done": min(done, 1.0), "steps": steps, "error": finite})

        self._line("progress", {"stage": stage, "done": 0.0, "steps": 0, "error": None})
        yield report

    def finished(self, result: FitResult, noun: str) -> None:
        """Write the line `result`."""
        self._line("result", result.to_json())

    def _line(self, name: str, content: str | Mapping[str, Any]) -> None:
        self._write(json.dumps({name: content}, ensure_ascii=False))


def describe(data: Prepared) -> dict[str, Any]:
    """Return what a file holds, in the types of JSON."""
    series = data.codec if isinstance(data.codec, TableSeriesCodec) else None
    return {
        "kind": data.kind,
        "rows": data.n_rows,
        "window": None if series is None else series.length,
        "time": None if series is None or series.time is None else series.time.name,
        "key": None if series is None else series.key,
        "columns": [column.describe() for column in data.columns],
        "left_out": dict(data.left_out),
    }
