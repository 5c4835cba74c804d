"""Whose turn it is to launch."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from models.ops import devices
from models.ops.devices import in_turn


def test_others_go_ahead_only_while_one_waits_for_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "PATIENCE_S", 60.0)
    turn = threading.Lock()
    inside: list[int] = []
    seen: list[str] = []

    def serve(number: int) -> None:
        for _ in range(20):
            with in_turn(turn):
                for part in ("before", "after"):
                    inside.append(number)
                    time.sleep(0.0005)
                    assert inside == [number], part
                    inside.remove(number)
                    if part == "before":
                        with devices._out_of_turn():
                            seen.append(f"{number} waits")
                            time.sleep(0.001)

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(serve, number) for number in range(3)]:
            done.result()
    assert len(seen) == 60
    assert not turn.locked()


def test_nobody_waits_for_long_for_one_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "PATIENCE_S", 0.01)
    turn = threading.Lock()
    turn.acquire()
    with in_turn(turn), devices._out_of_turn():
        pass
    assert turn.locked()  # still the other's
    turn.release()

    def fail() -> None:
        with in_turn(turn):
            assert turn.locked()
            raise ValueError("raised within")

    with pytest.raises(ValueError, match="raised within"):
        fail()
    assert not turn.locked()
