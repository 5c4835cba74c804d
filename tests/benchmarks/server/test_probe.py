"""The probes: their latencies count from when a request was due."""

import math

import pytest

from benchmarks.server.probe import EVERY_S, N_CONNECTIONS, ProbeResult, Sample, probing
from tests.benchmarks.server.misbehaving import Counted, SlowOnce, answering


def test_only_requests_of_the_same_connection_wait_for_a_late_answer_and_are_late_themselves() -> None:
    stall_s, turn_s = 0.3, N_CONNECTIONS * EVERY_S
    behaviour = Counted(SlowOnce("/health/live", stall_s), n_enough=60)
    with answering(behaviour) as port, probing(port) as probes:
        assert behaviour.enough.wait(20)
    live, neighbour = probes.results["live"], probes.results["neighbour"]
    first, second, *_ = sorted((sample.ms for sample in live.samples), reverse=True)
    assert first >= stall_s * 1000
    assert second >= (stall_s - turn_s) * 1000 - 1
    assert live.max_ms == first
    assert not live.n_failed
    assert not neighbour.n_failed
    assert len(neighbour.samples) > 5


def test_answers_other_than_200_and_missing_ones_are_counted() -> None:
    behaviour = Counted(lambda path: (404, b"") if path == "/health/live" else (200, b""), n_enough=3)
    with answering(behaviour) as port, probing(port) as probes:
        assert behaviour.enough.wait(20)
    assert probes.results["live"].n_failed == len(probes.results["live"].samples) > 0
    assert probes.results["neighbour"].n_failed == 0


def test_spans_of_time_can_be_left_out() -> None:
    result = ProbeResult([Sample(float(n), float(n), 200) for n in range(101)])
    assert result.max_ms == 100.0
    assert result.p99_ms == pytest.approx(99.0)
    assert result.without([(50.0, 200.0)]).max_ms == 49.0
    assert math.isnan(ProbeResult().max_ms)
    assert math.isnan(ProbeResult().p99_ms)
