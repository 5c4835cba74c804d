"""Account for every request: what was sent, what came back, and whether it was right."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.server.http_client import Answer
from benchmarks.server.soak.expectation import Expectation
from benchmarks.server.soak.requests import SoakRequest

QUEUE_FULL, TIME_LIMIT = 429, 504
MAX_EXAMPLES = 20
LOST, WRONG, SERVER_ERROR = "lost", "wrong", "server error"
Excuses = Callable[[SoakRequest, float, float, int], bool]
"""Whether a fault excuses that a request, sent and answered at these times (`time.monotonic`), has a status; 0 for
none."""


@dataclass
class Ledger:
    """The outcome of each request is counted once, in one of the counters, so that their sum is `n_sent`.

    Attributes:
        n_sent: requests that were begun.
        n_right: answers that are as expected.
        n_refused: answers with status 429, which a server may always give.
        n_excused: answers that were missing or refused while a fault explains it.
        n_abandoned: requests whose client left before the answer.
        failures: answers that were missing, wrong, or a 5xx without a fault, by these kinds.
        examples: the first failures of each kind, in words.
    """

    excuses: Excuses = lambda request, sent_at, now, status: False
    n_sent: int = 0
    n_right: int = 0
    n_refused: int = 0
    n_excused: int = 0
    n_abandoned: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def n_settled(self) -> int:
        """Return how many requests have an outcome."""
        return self.n_right + self.n_refused + self.n_excused + self.n_abandoned + self.failures.total()

    def answered(
        self,
        request: SoakRequest,
        request_id: str,
        answer: Answer,
        expectation: Expectation,
        times: tuple[float, float],
    ) -> None:
        """Count an answer; the times are those of sending and answering (`time.monotonic`)."""
        self.by_status[answer.status] += 1
        difference = expectation.differs(answer, request_id)
        if difference is None and answer.header("x-request-id") != request_id:
            difference = f"the id {answer.header('x-request-id')} in place of {request_id}"
        if difference is None:
            self.n_right += 1
        elif answer.status == QUEUE_FULL:
            self.n_refused += 1
        elif answer.status != expectation.status and self.excuses(request, *times, answer.status):
            self.n_excused += 1
        else:
            kind = SERVER_ERROR if answer.status >= 500 else WRONG
            self.fail(kind, f"{request.name} of {request.model}: {difference}; {answer.body[:150]!r}")

    def missing(self, request: SoakRequest, reason: str, times: tuple[float, float]) -> None:
        """Count a request whose answer did not come."""
        if self.excuses(request, *times, 0):
            self.n_excused += 1
        else:
            self.fail(LOST, f"{request.name} of {request.model}: {reason}")

    def fail(self, kind: str, sentence: str) -> None:
        """Count a failure."""
        self.failures[kind] += 1
        examples = self.examples.setdefault(kind, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(sentence)

    def summary(self) -> dict[str, Any]:
        """Return the counters with the keys of the JSON output."""
        return {
            "requests": self.n_sent,
            "right": self.n_right,
            "refused": self.n_refused,
            "excused": self.n_excused,
            "abandoned": self.n_abandoned,
            "unsettled": self.n_sent - self.n_settled,
            "failures": dict(self.failures),
            "examples": self.examples,
            "answers_by_status": dict(sorted(self.by_status.items())),
        }
