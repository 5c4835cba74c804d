"""Reports of benchmarks."""

import json
from pathlib import Path

import pytest

from benchmarks.lib.report import Ratio, Report, machine, print_report, ratio_table, table

REPORT = Report(
    name="one",
    title="One",
    command="manifold bench one",
    parts=["First.", "", "Second."],
    bars={"a": 1.0, "b": 2.0},
    bars_label="things",
    note="A note.",
)
MARKDOWN = (
    f"## One\n\n`manifold bench one` on {machine()} A note.\n\n![things](performance/one.png)\n\nFirst.\n\nSecond."
)


def test_a_report_without_bars_has_no_picture() -> None:
    report = Report(name="plain", title="Plain", command="x", parts=[], hardware="A GPU.")
    assert report.markdown == "## Plain\n\n`x` on A GPU."
    with pytest.raises(ValueError, match="plain has no bars"):
        report.write_picture()


def test_markdown_or_json_is_printed_and_the_picture_drawn_if_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    print_report(REPORT, {"n": 1}, as_json=False)
    assert capsys.readouterr().out == MARKDOWN + "\n"
    assert not list(tmp_path.iterdir())
    print_report(REPORT, {"n": 1}, as_json=True, picture=True)
    assert json.loads(capsys.readouterr().out) == {"n": 1}
    assert (tmp_path / "docs/performance/one.png").read_bytes().startswith(b"\x89PNG")


def test_tables_are_aligned_and_ratios_say_what_holds() -> None:
    assert table(["", "n"], [["a", "1"]]) == "|  | n |\n| --- | ---: |\n| a | 1 |"
    ratios = [Ratio("a / b", 1.5, 1.4), Ratio("a / c", 1.234, 1.3), Ratio("a / d", 2, None)]
    assert ratio_table(ratios).splitlines()[2:] == [
        "| a / b | 1.50 | 1.4 | holds |",
        "| a / c | 1.23 | 1.3 | falls short |",
        "| a / d | 2.00 |  |  |",
    ]
    assert ratio_table([]) == ""
