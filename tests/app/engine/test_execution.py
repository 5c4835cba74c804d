from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.engine.execution import NotANumber, execute, is_finite
from models.errors import InvalidItems
from models.tasks import ENCODE, ENCODE_TEXT
from models.tasks.autoencoding import EncodeRequest, EncodeResult
from models.tasks.text import EncodeTextResults
from tests.app.engine.scripted import LETHAL, POISON, TOO_LARGE, ScriptedModel, item


@pytest.mark.parametrize("shapes", [[(2,), (2,)], [(2,), (2, 3)], [(2, 3)], [(), (2,)]])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_number_that_is_not_finite_is_found_in_any_result(
    shapes: list[tuple[int, ...]], place: int, value: float
) -> None:
    tensors = [torch.full(shape, 3e38) for shape in shapes]  # whose sum overflows
    results = [EncodeResult(latent=tensor) for tensor in tensors]
    assert is_finite(results)
    tensors[place].view(-1)[-1] = value
    assert not is_finite(results)
    assert not is_finite(results[place])
    assert not is_finite(EncodeResult(latent=torch.zeros(1), prior_score=value))


@pytest.mark.parametrize(("number", "error"), [(2.0, NotANumber), (2e19, InvalidItems), (-3e38, InvalidItems)])
def test_a_request_with_a_large_number_is_to_blame_for_a_result_that_is_not_finite(
    number: float, error: type[Exception]
) -> None:
    class Overflowing(ScriptedModel):
        def encode(self, requests: Any) -> Any:
            return [EncodeResult(latent=torch.tensor([torch.inf])) for _ in requests]

    execution = execute(ENCODE, Overflowing(), [EncodeRequest(item=torch.tensor([torch.nan, number]))])
    assert type(execution.errors[0]) is error


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_exactly_the_poisoned_requests_fail(poisoned: list[bool]) -> None:
    execution = execute(ENCODE, ScriptedModel(), [item(POISON if bad else i) for i, bad in enumerate(poisoned)])
    assert set(execution.errors) == {i for i, bad in enumerate(poisoned) if bad}
    assert all(isinstance(error, ValueError) for error in execution.errors.values())
    for i, (bad, result) in enumerate(zip(poisoned, execution.results, strict=True)):
        assert bad or result.latent.item() == 2 * i
    assert not execution.out_of_memory


def test_one_failing_request_of_64_takes_logarithmically_many_passes() -> None:
    model = ScriptedModel()
    execute(ENCODE, model, [item(POISON if i == 37 else 0) for i in range(64)])
    assert len(model.batches) == 1 + 2 * 6


def test_running_out_of_memory_is_reported_and_the_halves_succeed() -> None:
    execution = execute(ENCODE, ScriptedModel(), [item(TOO_LARGE), item(1)])
    assert execution.out_of_memory
    assert all(isinstance(result, EncodeResult) for result in execution.results)
    assert not execution.errors


def test_a_missing_result_is_an_error() -> None:
    class Forgetful(ScriptedModel):
        def encode(self, requests: "list[EncodeRequest]") -> list[EncodeResult]:  # type: ignore[override]
            return super().encode(requests)[1:]

    execution = execute(ENCODE, Forgetful(), [item(1), item(2)])
    assert {i: type(error) for i, error in execution.errors.items()} == {0: RuntimeError, 1: RuntimeError}


def test_a_number_that_is_not_finite_in_one_row_of_an_array_fails_that_row_alone() -> None:
    class Embedding(ScriptedModel):
        def encode(self, requests: Any) -> Any:
            return EncodeTextResults(np.array([[1, 2], [np.nan, 0], [np.inf, -np.inf]], np.float32))

    execution = execute(ENCODE_TEXT, Embedding(), [item(i) for i in range(3)])
    assert {i: type(error) for i, error in execution.errors.items()} == {1: NotANumber, 2: NotANumber}
    assert execution.results[0].embedding.tolist() == [1, 2]


def test_an_error_that_is_no_exception_is_not_caught() -> None:
    with pytest.raises(SystemExit):
        execute(ENCODE, ScriptedModel(), [item(LETHAL)])
