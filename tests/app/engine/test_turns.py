"""A limited number of forward passes run at the same time, in the order in which they asked."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.engine import turns as module
from app.engine.turns import ForwardTurns
from app.settings import Settings


class Waiting(threading.Thread):
    """A thread that waits for a turn, and then keeps it until it is told otherwise."""

    def __init__(self, turns: ForwardTurns) -> None:
        super().__init__(daemon=True)
        self._turns = turns
        self.has_turn: bool | None = None
        self.start()

    def run(self) -> None:
        self.has_turn = self._turns.acquire()


def wait_for_queue(turns: ForwardTurns, n: int) -> None:
    deadline = time.monotonic() + 10
    while len(turns._waiting) < n:
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


def test_turns_are_given_in_the_order_of_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    turns = ForwardTurns(1)
    assert turns.acquire()
    waiting = []
    for n in range(1, 4):
        waiting.append(Waiting(turns))
        wait_for_queue(turns, n)
    for n, thread in enumerate(waiting):
        assert [each.has_turn for each in waiting[n:]] == [None] * (3 - n)
        turns.release()
        thread.join(10)
        assert thread.has_turn
    turns.release()
    assert turns.acquire()  # a free turn is given at once


def test_no_more_threads_compute_than_there_are_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    turns, computing, most = ForwardTurns(2), [0], [0]
    lock = threading.Lock()

    def compute(_: Any) -> None:
        assert turns.acquire()
        with lock:
            computing[0] += 1
            most[0] = max(most[0], computing[0])
        with lock:
            computing[0] -= 1
        turns.release()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(compute, range(500)))
    assert 1 <= most[0] <= 2
    assert not turns._waiting
    assert turns._n_free == 2


def test_a_thread_does_not_wait_for_those_whose_work_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    turns = ForwardTurns(1)
    assert turns.acquire()
    late = [Waiting(turns) for _ in range(3)]
    for thread in late:
        thread.join(10)
    assert [thread.has_turn for thread in late] == [False] * 3
    turns.release()
    assert turns._n_free == 1


@pytest.mark.parametrize(("workers", "torch_threads", "expected"), [(4, 4, 4), (1, 4, 2), (2, 1, 8), (20, 1, 20)])
def test_turns_keep_all_cores_busy(
    monkeypatch: pytest.MonkeyPatch, workers: int, torch_threads: int, expected: int
) -> None:
    monkeypatch.setattr(module, "N_CORES", 8)
    assert ForwardTurns.of(Settings(workers=workers, torch_threads=torch_threads))._n_free == expected
