"""The benchmark of overload, with a real server of a small model."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.server.overload import overload, report_of


@pytest.mark.usefixtures("tiny_shapes")
def test_requests_are_answered_or_refused() -> None:
    options = {"seconds": "1", "rounds": "2", "connections": "200", "queue": "4", "dtype": "float32"}
    arguments = [word for key, value in options.items() for word in (f"--{key}", value)]
    result = CliRunner().invoke(overload, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    results = json.loads(result.stdout)
    assert set(results["answers_by_status"]) == {"200", "429"}
    assert results["peak_per_second"] > 0
    assert results["good_per_second"] > 0
    assert results["refusals"] == results["answers_by_status"]["429"]
    assert len(results["good_over_peak_by_round"]) == 2
    assert all(0 < n < 4 for busy in results["busy_cores"].values() for n in busy.values())
    assert results["broken_connections"] == 0
    assert "| broken connections | 0 |" in report_of(results).markdown
