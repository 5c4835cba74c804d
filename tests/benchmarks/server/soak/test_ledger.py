"""The ledger: each request has one outcome."""

import pytest

from benchmarks.server.http_client import Answer
from benchmarks.server.soak.expectation import Expectation
from benchmarks.server.soak.ledger import LOST, SERVER_ERROR, WRONG, Ledger
from benchmarks.server.soak.requests import SoakRequest

REQUEST, TIMES = SoakRequest("/encode", b""), (0.0, 1.0)


def answer(status: int, body: bytes = b"{}", request_id: str = "r1") -> Answer:
    return Answer(status, f"HTTP/1.1 {status} X\r\nx-request-id: {request_id}".encode(), body)


RIGHT = Expectation.of([(answer(200), "r0")])


@pytest.mark.parametrize(
    ("given", "counter", "failure"),
    [
        (answer(200), "n_right", None),
        (answer(429), "n_refused", None),
        (answer(200, b'{"a":1}'), None, WRONG),
        (answer(200, request_id="r2"), None, WRONG),
        (answer(422), None, WRONG),
        (answer(503), None, SERVER_ERROR),
    ],
)
def test_an_answer_has_one_outcome(given: Answer, counter: str | None, failure: str | None) -> None:
    ledger = Ledger(n_sent=1)
    ledger.answered(REQUEST, "r1", given, RIGHT, TIMES)
    assert ledger.n_settled == 1
    assert counter is None or getattr(ledger, counter) == 1
    assert failure is None or ledger.failures == {failure: 1}
    assert ledger.by_status == {given.status: 1}


def test_a_fault_excuses_a_status_but_no_wrong_content() -> None:
    ledger = Ledger(excuses=lambda request, sent_at, now, status: status in (0, 503), n_sent=3)
    ledger.answered(REQUEST, "r1", answer(503), RIGHT, TIMES)
    ledger.missing(REQUEST, "no answer", TIMES)
    ledger.answered(REQUEST, "r1", answer(200, b'{"a":1}'), RIGHT, TIMES)
    assert (ledger.n_excused, ledger.failures) == (2, {WRONG: 1})


def test_a_missing_answer_is_lost_and_a_request_without_an_outcome_is_unsettled() -> None:
    ledger = Ledger(n_sent=2)
    ledger.missing(REQUEST, "no answer within 3 s", TIMES)
    summary = ledger.summary()
    assert summary["failures"] == {LOST: 1}
    assert summary["unsettled"] == 1
    assert summary["examples"] == {LOST: ["/encode of None: no answer within 3 s"]}
