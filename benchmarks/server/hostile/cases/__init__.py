"""The cases: each module of this package has its own in `CASES`."""

import time
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from benchmarks.server.hostile.case import Case
from benchmarks.server.hostile.visitor import Visitor

CONTROL_S = 3.0


def _nothing(visitor: Visitor) -> None:
    """Attack nothing: a case that fails says that the machine is too busy to measure."""
    with visitor.watch():
        time.sleep(CONTROL_S)


CONTROL = Case(name="control", attack=_nothing)


@cache
def all_cases() -> dict[str, Case]:
    """Return all cases by their names, in the order of the modules."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    return {case.name: case for case in (CONTROL, *(case for module in modules for case in module.CASES))}


def sends(name: str, *builders: Callable[[], bytes], at_once: int = 1, in_a_row: int = 1, **options: Any) -> Case:
    """Return a case that sends the request of each builder, some copies at once and all of that some times in a row."""

    def attack(visitor: Visitor) -> None:
        requests = [build() for build in builders]
        with visitor.watch():
            for request in requests * in_a_row:
                visitor.together([partial(visitor.ask, request)] * at_once)
        visitor.require(bool(visitor.result.statuses), "nothing was sent")

    return Case(name=name, attack=attack, **options)
