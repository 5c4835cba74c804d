"""Rendering answers as JSON in pieces."""

import json
from typing import Any

import numpy as np
import pytest

from app.http import json_pieces
from app.http.json_pieces import render_json


@pytest.mark.parametrize("at_once", [1, 2, 100])
@pytest.mark.parametrize(
    "answer",
    [
        {"outputs": [{"ids": [1, 2, 3], "text": "a"}, {"ids": []}]},
        [[{"id": 1}, {"id": 2}], []],
        ["a", None, 0.5],
        [],
        {},
    ],
)
def test_the_pieces_make_the_answer(monkeypatch: pytest.MonkeyPatch, answer: Any, at_once: int) -> None:
    monkeypatch.setattr(json_pieces, "N_VALUES_AT_ONCE", at_once)
    assert json.loads(render_json(answer)) == answer
    assert json.loads(render_json([{"array": np.arange(6).reshape(2, 3)}])) == [{"array": [[0, 1, 2], [3, 4, 5]]}]
