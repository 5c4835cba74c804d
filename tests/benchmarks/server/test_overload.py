"""The benchmark of overload: the peak, and what becomes of ten times as many requests, of a real server."""

import json

import pytest
from click.testing import CliRunner

from benchmarks.lib import checkpoints as shapes
from benchmarks.server import overload
from tests.benchmarks.tiny import TINY


def test_overload_is_answered_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes.SHAPES, "minilm", TINY["minilm"])
    options = {"seconds": "1", "rounds": "2", "connections": "200", "queue": "4", "dtype": "float32"}
    result = CliRunner().invoke(overload.main, [word for key, value in options.items() for word in (f"--{key}", value)])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert set(told["statuses"]) == {"200", "429"}
    assert told["peak, good answers a second"] > 0
    assert told["good answers a second"] > 0
    assert told["refusals"] == told["statuses"]["429"]
    assert len(told["the same of each round"]) == 2
    assert all(0 < n < 4 for its in told["cores that are busy at"].values() for n in its.values())
    assert told["broken connections"] == 0
