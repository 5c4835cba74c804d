"""An error is described to the client, and its reason is kept for the log, also where a stream has begun."""

import asyncio

import httpx
import pytest

from app.concurrency.refusal_pacing import RefusalPacing
from app.concurrency.request_memory import RequestMemory
from app.engine.engine import Engine
from app.errors import QueueFull
from app.http.context import RequestContext
from app.http.problems import report_error
from app.http.request_timer import RequestTimer
from models.errors import InvalidItems, Problem


async def receive() -> dict[str, object]:
    return {"type": "http.disconnect"}


@pytest.fixture
def context() -> RequestContext:
    return RequestContext("find-me", {}, RequestTimer(receive), RequestMemory(lambda: 0).open_share())


def test_an_unexpected_error_is_logged_in_full_and_not_told(
    context: RequestContext, caplog: pytest.LogCaptureFixture
) -> None:
    problem = report_error(KeyError("secret"), context)
    assert (problem.status, "secret" in problem.detail) == (500, False)
    (record,) = caplog.records
    assert vars(record)["request_id"] == "find-me"
    assert record.exc_info is not None
    assert context.error == "unexpected KeyError"


def test_an_error_of_ours_is_told_and_noted_but_has_no_traceback(
    context: RequestContext, caplog: pytest.LogCaptureFixture
) -> None:
    problem = report_error(QueueFull("no room", retry_after_s=3), context)
    assert (problem.status, problem.headers) == (429, {"retry-after": "3"})
    assert context.error == problem.detail == "no room"
    assert not caplog.records


def test_a_refusal_points_at_the_item_or_the_parameter_and_names_the_same_place_once(context: RequestContext) -> None:
    error = InvalidItems(
        Problem("too long", 2), Problem("unknown", 0, parameter="label"), Problem("unknown", 1, parameter="label")
    )
    pointers = [fault.pointer for fault in report_error(error, context).faults]
    assert pointers == ["/inputs/2", "/parameters/label"]


@pytest.mark.anyio
async def test_a_refusal_that_waits_for_its_turn_is_sent_when_the_deadline_has_passed(
    own_client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never_come(_pacing: RefusalPacing) -> None:
        await asyncio.Event().wait()

    def refuse(_engine: Engine, _n_before: int = 0) -> None:
        raise QueueFull("no room", retry_after_s=3)

    monkeypatch.setattr(RefusalPacing, "wait_for_turn", never_come)
    monkeypatch.setattr(Engine, "require_room", refuse)
    answer = await own_client.post("/encode", json={"inputs": [[[0.0] * 4] * 4]}, headers={"x-timeout-ms": "100"})
    assert (answer.status_code, answer.json()["detail"]) == (429, "no room")
