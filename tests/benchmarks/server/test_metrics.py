"""The readers of metrics."""

import pytest

from benchmarks.server.metrics import Stalls, n_unfinished


def exposition(short: int, medium: int, long: int, longest: float) -> str:
    """The metrics of a server whose loop was held so often, for up to 10 ms, up to 50 ms, and longer."""
    cumulative = short, short + medium, short + medium + long
    limits = zip(("0.01", "0.05", "+Inf"), cumulative, strict=True)
    lines = [f'manifold_event_loop_stall_seconds_bucket{{le="{limit}"}} {count:.1f}' for limit, count in limits]
    return "\n".join((*lines, f'manifold_event_loop_longest_stall_seconds{{since="start"}} {longest}', ""))


def test_the_worst_stall_is_the_longest_if_it_is_new_and_else_the_limit_of_its_bucket() -> None:
    before = Stalls.of(exposition(10, 2, 1, 0.07))
    assert Stalls.of(exposition(20, 2, 1, 0.07)).worst_ms_since(before) == pytest.approx(10.0)
    assert Stalls.of(exposition(20, 3, 1, 0.07)).worst_ms_since(before) == pytest.approx(50.0)
    assert Stalls.of(exposition(20, 3, 2, 0.07)).worst_ms_since(before) == pytest.approx(70.0)
    assert Stalls.of(exposition(20, 3, 2, 0.09)).worst_ms_since(before) == pytest.approx(90.0)
    assert Stalls.of(exposition(10, 2, 1, 0.07)).worst_ms_since(before) == 0.0


def test_a_server_that_does_not_measure_its_loop_has_no_worst_stall() -> None:
    assert Stalls.of("manifold_ready 1.0\n").worst_ms_since(Stalls()) is None


def test_what_waits_and_what_runs_is_added() -> None:
    values = {'queue_items{model="a"}': 2.0, 'running_sequences{model="a"}': 3.0, "queue_limit_items": 9.0}
    text = "".join(f"manifold_{name} {value}\n" for name, value in values.items())
    assert n_unfinished(text) == 5.0
