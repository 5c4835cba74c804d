"""How threads share a machine: parts of long work, numbers of threads, and the lock for launching work on a GPU."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ops import cooperation
from models.ops.cooperation import Cooperation, cooperate, current, launch_lock_released, split_by_tokens


@given(lengths=st.lists(st.integers(0, 9), max_size=20), most=st.integers(1, 12))
def test_parts_are_all_texts_in_order_and_as_large_as_they_may_be(lengths: list[int], most: int) -> None:
    parts = [lengths[part] for part in split_by_tokens(lengths, most)]
    assert [length for part in parts for length in part] == lengths
    assert all(part and (len(part) == 1 or sum(part) <= most) for part in parts)
    assert all(sum(part) + following[0] > most for part, following in pairwise(parts))


def test_the_callback_is_called_before_each_part() -> None:
    log: list[str] = []
    with cooperate(between_parts=lambda: log.append("called")):
        log.extend("part" for _ in split_by_tokens([1] * 5, 2))
    log.extend("alone" for _ in split_by_tokens([1] * 5, 2))
    assert log == ["called", "part"] * 3 + ["alone"] * 3


def test_what_is_not_given_stays_as_it_is_outside() -> None:
    def callback() -> None:
        return

    lock = threading.Lock()
    with cooperate(n_threads=3, between_parts=callback, launch_lock=lock):
        with cooperate(n_threads=2):
            assert current.cooperation == Cooperation(n_threads=2, between_parts=callback, launch_lock=lock)
        assert current.cooperation == Cooperation(n_threads=3, between_parts=callback, launch_lock=lock)
    assert current.cooperation == Cooperation()
    assert not lock.locked()


def test_threads_do_not_see_what_others_respect() -> None:
    with cooperate(n_threads=3), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: current.cooperation).result() == Cooperation()


def test_others_launch_only_while_a_thread_waits_for_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooperation, "MAX_LOCK_WAIT_S", 60.0)
    lock = threading.Lock()
    inside: list[int] = []
    waited: list[int] = []

    def launch(number: int) -> None:
        inside.append(number)
        for _ in range(100):
            assert inside == [number]
        inside.remove(number)

    def serve(number: int) -> None:
        for _ in range(20):
            with cooperate(launch_lock=lock):
                launch(number)
                with launch_lock_released():
                    waited.append(number)
                launch(number)

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(serve, number) for number in range(3)]:
            done.result()
    assert len(waited) == 60
    assert not lock.locked()


def test_a_lock_that_was_not_free_in_time_is_not_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooperation, "MAX_LOCK_WAIT_S", 0.0)
    lock = threading.Lock()
    lock.acquire()
    with cooperate(launch_lock=lock), launch_lock_released():
        pass
    assert lock.locked()  # by whoever had it before
    lock.release()
    with cooperate(launch_lock=lock):
        with cooperate(n_threads=1), launch_lock_released():
            lock.acquire()
        assert current.cooperation.launch_lock is None
    assert lock.locked()


def test_the_lock_is_released_when_work_fails() -> None:
    lock = threading.Lock()

    def fail() -> None:
        with cooperate(launch_lock=lock):
            assert lock.locked()
            raise ValueError("raised within")

    with pytest.raises(ValueError, match="raised within"):
        fail()
    assert not lock.locked()
