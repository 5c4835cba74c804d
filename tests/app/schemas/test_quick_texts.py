"""Which texts are tokenised on the event loop."""

from types import SimpleNamespace
from typing import Any

import pytest

from app.schemas.shared.quick_texts import MAX_BYTES, MAX_QUICK_TARGETS, SURE_BYTES, are_quick_texts


def body(inputs: Any, **parameters: Any) -> Any:
    return SimpleNamespace(inputs=inputs, parameters=SimpleNamespace(**parameters))


@pytest.mark.parametrize(
    ("inputs", "is_quick"),
    [
        ("the dog " * 100, True),
        (["the dog", {"text": "a", "text_pair": "b"}, [1, 2, 3]], True),
        ([{"query": "a dog", "candidates": ["a", "x" * 24]}], True),
        ("x" * 25, False),
        ([{"query": "a dog", "candidates": ["a", "x" * 25]}], False),
        (["a", "é"], False),
        ({"question": "ﷺ", "context": "a"}, False),
        (None, True),
    ],
)
def test_unusual_texts_are_not_quick(inputs: Any, is_quick: bool) -> None:
    assert are_quick_texts(body(inputs), MAX_BYTES) is is_quick
    assert are_quick_texts(body(inputs), SURE_BYTES)
    assert not are_quick_texts(body(inputs), MAX_BYTES + 1)


def test_many_targets_are_not_quick() -> None:
    targets = ["a"] * MAX_QUICK_TARGETS
    assert are_quick_texts(body("a [MASK]", targets=targets), SURE_BYTES)
    assert are_quick_texts(body("a [MASK]", targets=None), SURE_BYTES)
    assert not are_quick_texts(body("a [MASK]", targets=[*targets, "a"]), SURE_BYTES)
    assert are_quick_texts(SimpleNamespace(inputs="a"), SURE_BYTES)
