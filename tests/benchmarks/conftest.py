"""Fixtures of the tests of benchmarks."""

import pytest

from benchmarks.lib import checkpoints
from tests.benchmarks.tiny import TINY


@pytest.fixture
def tiny_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give all checkpoints shapes with which a benchmark takes no time."""
    for name, shape in TINY.items():
        monkeypatch.setitem(checkpoints.SHAPES, name, shape)
