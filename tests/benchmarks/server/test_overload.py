"""The benchmark of overload, with a real server of a small model."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.lib import checkpoints
from benchmarks.server.overload import overload
from tests.benchmarks.tiny import TINY


@pytest.mark.parametrize("as_json", [True, False])
def test_requests_are_answered_or_refused(as_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checkpoints.SHAPES, "minilm", TINY["minilm"])
    options = {"seconds": "1", "rounds": "2", "connections": "200", "queue": "4", "dtype": "float32"}
    arguments = [word for key, value in options.items() for word in (f"--{key}", value)]
    result = CliRunner().invoke(overload, [*arguments, *(["--json"] if as_json else [])])
    assert result.exit_code == 0, result.output
    if not as_json:
        assert "| broken connections | 0 |" in result.stdout
        return
    results = json.loads(result.stdout)
    assert set(results["answers_by_status"]) == {"200", "429"}
    assert results["peak_per_second"] > 0
    assert results["good_per_second"] > 0
    assert results["refusals"] == results["answers_by_status"]["429"]
    assert len(results["good_over_peak_by_round"]) == 2
    assert all(0 < n < 4 for busy in results["busy_cores"].values() for n in busy.values())
    assert results["broken_connections"] == 0
