import json

import numpy as np
import pytest

from app.errors import InferenceFailed
from app.http.responses import check_finite, task_json

ARRAY = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


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
