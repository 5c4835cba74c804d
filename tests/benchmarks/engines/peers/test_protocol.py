"""What engines are asked and how their rates are measured."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from benchmarks.engines.peers.protocol import Batch, Job, Runner, encoding_rates, generation_rates, pad

CLOCK = "benchmarks.engines.peers.protocol.time.perf_counter"


def job(**changes: Any) -> Job:
    common = {"folder": "", "precision": "", "texts": [[1, 2, 3], [4], [5, 6]], "batch_sizes": [2], "n_new_tokens": 4}
    return Job(**{**common, "n_rounds": 3, "n_threads": 1, **changes})


def clock(step_s: float) -> Callable[[], float]:
    """Return a clock that advances by a step whenever it is read."""
    steps = count()
    return lambda: next(steps) * step_s


def test_rates_are_of_all_texts_with_the_longest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CLOCK, clock(1.0))
    batches: list[list[list[int]]] = []

    def make_runner(n_workers: int, n_threads: int) -> Runner:
        return lambda batch: batches.append(list(batch))

    assert encoding_rates(job(), make_runner) == {"1": {"2": 6.0}}  # six tokens, a second a round
    assert batches[:2] == [[[1, 2, 3], [5, 6]], [[4]]]
    assert len(batches) == 2 * (1 + 3)
    assert generation_rates(job(batch_sizes=[1, 3]), make_runner) == {"1": {"1": 4.0, "3": 12.0}}


def test_one_worker_and_a_worker_for_each_thread_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int, list[list[int]]]] = []
    seconds = {1: 2.0, 2: 1.0}

    def make_runner(n_workers: int, n_threads: int) -> Runner:
        def run(batch: Batch) -> None:
            calls.append((n_workers, n_threads, list(batch)))

        monkeypatch.setattr(CLOCK, clock(seconds[n_workers]))
        return run

    rates = generation_rates(job(texts=[[1], [2], [3]], batch_sizes=[1, 3], n_threads=2), make_runner)
    assert rates == {"1": {"1": 2.0, "3": 6.0}, "2": {"1": 4.0, "3": 12.0}}
    divided = {tuple(map(tuple, batch)) for n_workers, n_threads, batch in calls if (n_workers, n_threads) == (2, 1)}
    assert divided == {((1,),), ((1,), (3,)), ((2,),)}


def test_padding_is_masked() -> None:
    assert pad([[1, 2, 3], [4]]) == ([[1, 2, 3], [4, 0, 0]], [[1, 1, 1], [1, 0, 0]])
