import json
from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest

from app.errors import InferenceFailed
from app.http import json_pieces
from app.http.responses import check_finite, task_json
from models.cancellation import WorkAbandoned, watch_caller

pytestmark = pytest.mark.usefixtures("n_at_once")
ARRAY = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture(params=[None, 1, 3, 7], ids=["as a whole", "1 at once", "3 at once", "7 at once"])
def n_at_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """Render answers as a whole, or in pieces of few values."""
    with mock.patch.object(json_pieces, "N_VALUES_AT_ONCE", request.param or json_pieces.N_VALUES_AT_ONCE):
        yield


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "array", [ARRAY, np.asfortranarray(ARRAY), ARRAY.transpose(2, 0, 1), ARRAY[:, ::-1], ARRAY[..., 1], ARRAY[:, None]]
)
def test_arrays_of_every_memory_layout_are_rendered(array: np.ndarray, dtype: type[np.generic]) -> None:
    values = array.astype(dtype)
    assert json.loads(task_json({"outputs": [{"item": values}]})) == {"outputs": [{"item": values.tolist()}]}


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_an_error_wherever_it_is(number: float) -> None:
    array = np.zeros((2, 3), np.float32)
    array[1, 2] = number
    for value in (number, np.float32(number), [1.0, number], (number,), {"a": [{"b": number}]}, array, [array.T]):
        with pytest.raises(InferenceFailed, match="holds a number that is not finite"):
            task_json({"outputs": [{"x": value}], "usage": {"items": 1}})
        with pytest.raises(InferenceFailed):
            check_finite(value)


def test_null_is_no_number() -> None:
    answer = {"outputs": [{"score": None, "text": "null", "flag": True, "ids": np.arange(3)}]}
    assert json.loads(task_json(answer)) == {
        "outputs": [{"score": None, "text": "null", "flag": True, "ids": [0, 1, 2]}]
    }


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"outputs": []},
        {"outputs": [[], [[]], {}, [{}], ()], "empty": np.zeros((0, 3)), "rows": np.zeros((2, 0))},
        {"outputs": [{"a": [1, 2, [3, 4, [5, 6, 7, 8]], 9], "b": ARRAY, "c": 'é"\n', "d": None}, 1.5, True]},
        {"outputs": [[{"tokens": [{"id": i, "text": str(i)} for i in range(9)]} for _ in range(3)], np.float32(0.5)]},
    ],
)
def test_answers_in_pieces_are_as_those_rendered_as_a_whole(answer: dict[str, object]) -> None:
    def plain(value: object) -> object:
        return value.tolist() if isinstance(value, np.ndarray | np.generic) else list(value)  # type: ignore[call-overload]

    assert json.loads(task_json(answer)) == json.loads(json.dumps(answer, default=plain))


def test_the_rendering_of_a_large_answer_ends_once_the_caller_has_left() -> None:
    watch_caller(lambda: True)
    try:
        with pytest.raises(WorkAbandoned):
            task_json({"outputs": [{"item": np.zeros(100_000)}]})
    finally:
        watch_caller(None)
