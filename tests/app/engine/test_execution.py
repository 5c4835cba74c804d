import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.execution import execute
from models.tasks import ENCODE
from models.tasks.autoencoding import EncodeRequest, EncodeResult
from tests.app.engine.scripted import LETHAL, POISON, TOO_LARGE, ScriptedModel, item


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_exactly_the_poisoned_requests_fail(poisoned: list[bool]) -> None:
    execution = execute(ENCODE, ScriptedModel(), [item(POISON if bad else i) for i, bad in enumerate(poisoned)])
    for i, (bad, outcome) in enumerate(zip(poisoned, execution.outcomes, strict=True)):
        if bad:
            assert isinstance(outcome, ValueError)
        else:
            assert isinstance(outcome, EncodeResult)
            assert outcome.latent.item() == 2 * i
    assert not execution.out_of_memory


def test_one_poisoned_of_64_costs_a_logarithm_of_passes() -> None:
    model = ScriptedModel()
    execute(ENCODE, model, [item(POISON if i == 37 else 0) for i in range(64)])
    assert len(model.batches) == 1 + 2 * 6


def test_running_out_of_memory_is_reported_and_the_halves_succeed() -> None:
    execution = execute(ENCODE, ScriptedModel(), [item(TOO_LARGE), item(1)])
    assert execution.out_of_memory
    assert all(isinstance(outcome, EncodeResult) for outcome in execution.outcomes)


def test_a_model_that_loses_a_result_is_an_error_not_a_shift() -> None:
    class Forgetful(ScriptedModel):
        def encode(self, requests: "list[EncodeRequest]") -> list[EncodeResult]:  # type: ignore[override]
            return super().encode(requests)[1:]

    execution = execute(ENCODE, Forgetful(), [item(1), item(2)])
    assert [type(outcome) for outcome in execution.outcomes] == [RuntimeError, RuntimeError]


def test_what_is_no_exception_ends_the_thread() -> None:
    with pytest.raises(SystemExit):
        execute(ENCODE, ScriptedModel(), [item(LETHAL)])
