"""The values of large bodies are freed in parts, and no full garbage collection runs while they exist."""

import gc
import weakref
from collections.abc import Iterator
from unittest import mock

import pytest

from app.concurrency import large_values
from app.concurrency.large_values import LargeValues, free_in_parts
from app.concurrency.worker_pools import WorkerPools


class _Pools(WorkerPools):
    """Pools that do the work at once."""

    def begin(self, work: object) -> None:
        assert callable(work)
        work()


@pytest.fixture
def threshold() -> Iterator[int]:
    before = gc.get_threshold()
    gc.set_threshold(5000, 10, 7)
    yield 7
    gc.set_threshold(*before)


class _Leaf:
    pass


def test_all_is_freed_but_what_somebody_else_refers_to() -> None:
    leaves = [_Leaf() for _ in range(4)]
    refs = [weakref.ref(leaf) for leaf in leaves]
    shared = [leaves[0]]
    values = [{"a": [[leaves[1]], {"b": leaves[2]}] * 1}, [shared, [0.5] * 5000, leaves[3]], "text"]
    del leaves
    gc.disable()
    try:
        free_in_parts(values)
    finally:
        gc.enable()
    assert values == []
    assert [ref() is None for ref in refs] == [False, True, True, True]
    assert shared == [refs[0]()]


def test_deep_values_are_freed() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    values: list[object] = [value]
    del value
    free_in_parts(values)
    assert values == []


def test_full_collections_are_postponed_while_there_are_large_values(threshold: int) -> None:
    pools, one, other = _Pools(1, 1), LargeValues(), LargeValues()
    one.free_later(pools)
    assert gc.get_threshold()[2] > 2**20
    other.keep([[1.5] * 10])
    other.free_later(pools)
    assert gc.get_threshold() == (5000, 10, threshold)


def test_full_collections_are_not_postponed_for_ever(threshold: int) -> None:
    pools, kept = _Pools(1, 1), [LargeValues()]
    with mock.patch.object(large_values, "MAX_POSTPONED_S", -1.0):
        kept.append(LargeValues())
    assert gc.get_threshold()[2] == threshold
    kept.append(LargeValues())
    assert gc.get_threshold()[2] > 2**20
    for each in kept:
        each.free_later(pools)
    assert gc.get_threshold()[2] == threshold
