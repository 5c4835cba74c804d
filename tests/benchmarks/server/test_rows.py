"""The benchmark of rows of a table: its random shipments, and its report."""

import csv
import io
import random

from benchmarks.server.rows import NAMES, LongFile, _report, row_of, to_csv


def test_shipments_are_rows_of_the_columns() -> None:
    rng = random.Random(0)
    content = to_csv(row_of(rng) for _ in range(20))
    rows = list(csv.DictReader(io.StringIO(content)))
    assert len(rows) == 20
    assert tuple(rows[0]) == NAMES
    assert {row["insured"] for row in rows} == {"True", "False"}


def test_the_report_tells_the_cost_and_the_memory() -> None:
    long_file = LongFile(
        n_rows=100_000, seconds=12.3, memory_before_mb=400, memory_peak_mb=440, body_mb=5, answer_mb=40
    )
    text = _report(1.25, long_file).markdown
    assert "1.25" in text
    assert "| 100,000 | 12.3 | 5.0 | 40.0 | 400 | 440 |" in " ".join(text.split())
