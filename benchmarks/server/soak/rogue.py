"""Run hostile cases in turn against a running server, in a process of its own, until the standard input ends.

A line `pause` lets it finish the present case and print `paused`; a line `resume` lets it go on. At the end, it prints
what it was answered as JSON.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from typing_extensions import override

from benchmarks.server.hostile.case import Case
from benchmarks.server.hostile.cases import bodies, connections, pictures, texts
from benchmarks.server.hostile.visitor import Visitor

if TYPE_CHECKING:
    from benchmarks.server.hostile.target import Target

MODULES = (bodies, connections, pictures, texts)
NEEDS_IDLE_SERVER = ("left", "many-prompts", "many-beams", "gibbs-4", "score-1024")
"""Beginnings of the names of cases that take a model for many seconds, or wait until it is idle."""


class RoamingVisitor(Visitor):
    """A visitor that does not wait for effects, because the models that it asks for work for others as well."""

    @override
    def within(self, seconds: float, holds: Callable[[], bool]) -> bool:
        return True


def cases() -> Sequence[Case]:
    """Return the cases that any running server can be attacked with."""
    return [case for module in MODULES for case in module.CASES if not case.name.startswith(NEEDS_IDLE_SERVER)]


class Rogue:
    """Attacks a server with cases in a random order, with a pause after each."""

    def __init__(self, port: int, every_s: float) -> None:
        self._port, self._every_s = port, every_s
        self._may_go, self._ended, self._is_resting = threading.Event(), threading.Event(), threading.Event()
        self._may_go.set()
        self.attacks: list[tuple[str, float, float, dict[int, int]]] = []
        """By name of the case: when it began and ended (`time.monotonic`), and the number of answers by status."""

    def run(self, seed: int) -> None:
        """Attack until `end` is called."""
        draw = random.Random(seed)  # noqa: S311 not a secret
        while not self._ended.is_set():
            chosen = list(cases())
            draw.shuffle(chosen)
            for case in chosen:
                self._rest()
                if self._ended.is_set():
                    return
                self._attack(case)
                self._ended.wait(self._every_s)

    def _rest(self) -> None:
        self._is_resting.set()
        self._may_go.wait()
        self._is_resting.clear()

    def _attack(self, case: Case) -> None:
        visitor = RoamingVisitor(case, self._port)
        started_at = time.monotonic()
        case.attack(cast("Target", visitor))  # the cases of these modules need no more than a visitor
        self.attacks.append((case.name, started_at, time.monotonic(), dict(visitor.result.statuses)))

    def pause(self) -> None:
        """Wait until no case attacks, and let none begin."""
        self._may_go.clear()
        while not self._is_resting.is_set() and not self._ended.is_set():
            time.sleep(0.05)

    def resume(self) -> None:
        """Let cases begin again."""
        self._may_go.set()

    def end(self) -> None:
        """Let no further case begin."""
        self._ended.set()
        self._may_go.set()


def main(port: int, every_s: float, seed: int) -> None:
    """Attack until the standard input ends, then print what was answered."""
    rogue = Rogue(port, every_s)
    thread = threading.Thread(target=rogue.run, args=(seed,))
    thread.start()
    for line in sys.stdin:
        if line.strip() == "pause":
            rogue.pause()
            _print("paused")
        else:
            rogue.resume()
    rogue.end()
    thread.join()
    _print(json.dumps(rogue.attacks))


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
