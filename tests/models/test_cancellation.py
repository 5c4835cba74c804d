"""Work on a thread ends once its caller has left, and only there."""

import threading

import pytest

from models.cancellation import WorkAbandoned, stop_if_abandoned, watch_caller


def test_work_without_a_caller_goes_on() -> None:
    stop_if_abandoned()


def test_work_ends_once_its_caller_has_left() -> None:
    has_left = threading.Event()
    watch_caller(has_left.is_set)
    try:
        stop_if_abandoned()
        has_left.set()
        with pytest.raises(WorkAbandoned):
            stop_if_abandoned()
    finally:
        watch_caller(None)
    stop_if_abandoned()


def test_other_threads_go_on() -> None:
    ended: list[str] = []

    def work() -> None:
        stop_if_abandoned()
        ended.append("well")

    watch_caller(lambda: True)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        watch_caller(None)
    assert ended == ["well"]


def test_no_handler_of_errors_takes_it_for_one() -> None:
    assert not issubclass(WorkAbandoned, Exception)
