"""The command that compares engines, and its reports."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.engines import benchmarks
from benchmarks.engines.benchmarks import ENCODE, CaseResult
from benchmarks.engines.command import case_entries, engines, report_of


def result_of(rates: dict[str, float]) -> CaseResult:
    by_size = {workers: {str(size): rate for size in ENCODE.batch_sizes} for workers, rate in rates.items()}
    return CaseResult("package 1.0", None, [by_size])


def test_a_report_has_rates_and_ratios_and_says_what_falls_short(tmp_path: Path) -> None:
    results = {case.name: result_of({"1": 100.0, "2": 200.0}) for case in ENCODE.cases}
    results["Manifold float32"].passes = [{"2": {str(size): 3.0 * size for size in ENCODE.batch_sizes}}] * 3
    results["Manifold int8"] = result_of({"2": 1e6})
    report = report_of("encode", results)
    text = report.markdown
    assert "| Manifold float32 | package 1.0 | 12 | 24 | 48 | 96 | 192 |" in text
    assert "| CTranslate2 float32 | package 1.0 | 200 | 200 | 200 | 200 | 200 |" in text
    assert "| Manifold float32 / CTranslate2 float32 as one worker | 1.92 | 1.3 | holds |" in text
    assert "| Manifold float32 / CTranslate2 float32 | 0.96 | 1.3 | falls short |" in text
    assert "| Manifold int8 / ONNX Runtime int8 | 5000.00 | 1.1 | holds |" in text
    report.write_picture(tmp_path)
    assert (tmp_path / "encode.png").read_bytes().startswith(b"\x89PNG")


def test_entries_have_the_median_with_the_best_number_of_workers() -> None:
    result = CaseResult("package 1.0", 0.99, [{"1": {"4": rate}, "2": {"4": rate / 2}} for rate in (9.0, 1.0, 2.0)])
    (entry,) = case_entries({"case": result})
    assert entry["tokens_per_second"] == {"4": 2.0}
    assert (entry["name"], entry["package"], entry["cosine"]) == ("case", "package 1.0", 0.99)
    assert entry["passes"] == result.passes


@pytest.mark.usefixtures("tiny_shapes")
def test_the_command_prints_json_and_draws_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(benchmarks.BENCHMARKS, "encode", replace(ENCODE, batch_sizes=(2,)))
    monkeypatch.chdir(tmp_path)
    options = ["--only", "Manifold int8", "--passes", "1", "--rounds", "1", "--threads", "1", "--json", "--picture"]
    result = CliRunner().invoke(engines, ["encode", *options])
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert output["benchmark"] == "encode"
    assert [entry["name"] for entry in output["cases"]] == ["Manifold int8"]
    assert output["ratios"] == []  # no peer was measured
    assert (tmp_path / "docs/performance/encode.png").is_file()


@pytest.mark.usefixtures("tiny_shapes")
def test_two_trees_are_measured_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(benchmarks.BENCHMARKS, "encode", replace(ENCODE, batch_sizes=(2, 4)))
    root = Path(__file__).parents[3]
    monkeypatch.chdir(root)
    options = ["--only", "int8", "--passes", "2", "--rounds", "1", "--threads", "1", "--against", str(root), "--json"]
    result = CliRunner().invoke(engines, ["encode", *options])
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert [(entry["case"], entry["batch_size"]) for entry in output["comparisons"]] == [
        ("Manifold int8", 2),
        ("Manifold int8", 4),
    ]
    for entry, pair in zip(output["comparisons"], output["pairs"], strict=True):
        assert len(pair["old"]) == len(pair["new"]) == 2
        assert entry["ratio_low"] < entry["ratio"] < entry["ratio_high"]
