"""The benchmark of fairness, with a real server of one small checkpoint."""

import json
from itertools import pairwise

import pytest
from click.testing import CliRunner

from benchmarks.server import fairness as module
from benchmarks.server.fairness import Call, Case, Measurement, fairness, report_of

VANILLA = "vanilla-ae-mnist"


def _reconstruct(n_items: int) -> Call:
    return Call(path="/reconstruct", body={"model": VANILLA, "inputs": [[0] * 784] * n_items})


def test_each_case_is_measured_from_both_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MODELS", (VANILLA,))
    monkeypatch.setattr(module, "N_WARM_UP", 1)
    monkeypatch.setattr(module, "CASES", (Case(name="images", large=_reconstruct(400), small=_reconstruct(1)),))
    result = CliRunner().invoke(fairness, ["--requests", "3", "--pause", "0.1", "--json"])
    assert result.exit_code == 0, result.output
    results = json.loads(result.stdout)
    assert [(case["name"], case["address"]) for case in results["cases"]] == [
        ("images", "another"),
        ("images", "the same"),
    ]
    assert all(case["alone_ms"] > 0 and case["beside_ms"] > 0 for case in results["cases"])
    assert report_of(results).markdown.count("| images |") == 2


def test_a_small_request_may_take_three_times_as_long() -> None:
    times = [Measurement([1.0, 1.0, 1.0], [beside] * 3, 1) for beside in (2.9, 3.0, 3.1)]
    assert [each.verdict for each in times] == ["holds", "holds", "falls short"]
    assert all(a.ratio < b.ratio for a, b in pairwise(times))
