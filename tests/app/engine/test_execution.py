from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app.engine.execution import NotANumber, execute, has_nan
from models.tasks import ENCODE, ENCODE_TEXT
from models.tasks.autoencoding import EncodeRequest, EncodeResult
from models.tasks.text import EncodeTextResults
from tests.app.engine.scripted import LETHAL, POISON, TOO_LARGE, ScriptedModel, item


@pytest.mark.parametrize("shapes", [[(2,), (2,)], [(2,), (2, 3)], [(2, 3)], [(), (2,)]])
@pytest.mark.parametrize("place", [0, -1])
def test_a_nan_is_found_in_any_result(shapes: list[tuple[int, ...]], place: int) -> None:
    tensors = [torch.zeros(shape) for shape in shapes]
    results = [EncodeResult(latent=tensor) for tensor in tensors]
    assert not has_nan(results)
    tensors[place].view(-1)[-1] = torch.nan
    assert has_nan(results)
    assert has_nan(results[place])


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


def test_a_nan_in_one_row_of_an_array_fails_that_row_alone() -> None:
    class Embedding(ScriptedModel):
        def encode(self, requests: Any) -> Any:
            return EncodeTextResults(np.array([[1, 2], [np.nan, 0], [np.inf, -np.inf]], np.float32))

    execution = execute(ENCODE_TEXT, Embedding(), [item(i) for i in range(3)])
    assert {i: type(error) for i, error in execution.errors.items()} == {1: NotANumber}
    assert execution.results[2].embedding.tolist() == [torch.inf, -torch.inf]


def test_an_error_that_is_no_exception_is_not_caught() -> None:
    with pytest.raises(SystemExit):
        execute(ENCODE, ScriptedModel(), [item(LETHAL)])
