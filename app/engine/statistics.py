"""Counts of what an engine has done since its model was loaded."""

import time
from collections import defaultdict
from dataclasses import dataclass, field

from app.engine.job import Job, Outcome


@dataclass(slots=True)
class Duration:
    """How often something was done, and the time that it took in all, in seconds."""

    count: int = 0
    total_s: float = 0.0


@dataclass(slots=True)
class EngineStatistics:
    """The counts of one engine. Only the event loop reads and writes them.

    Attributes:
        n_answered: requests that were answered.
        n_items: their items.
        queue_s: the time for which they waited for a worker, in all.
        inference_s: the time from then until their last results, in all.
        failed: requests that ended without an answer, from their submission on.
        batches: the batches that were computed, by their number of items; steps of generation are not among them.
        n_generated: the inputs whose texts were generated to their end.
        last_at_s: the end of the last batch or step, by `time.monotonic`; None before the first.
    """

    n_answered: int = 0
    n_items: int = 0
    queue_s: float = 0.0
    inference_s: float = 0.0
    failed: Duration = field(default_factory=Duration)
    batches: dict[int, Duration] = field(default_factory=lambda: defaultdict(Duration))
    n_generated: int = 0
    last_at_s: float | None = None

    @property
    def n_executions(self) -> int:
        """The number of batches that were computed, and of inputs whose texts were generated."""
        return self.n_generated + sum(batches.count for batches in self.batches.values())

    @property
    def last_time_s(self) -> float:
        """The end of the last batch or step in seconds since 1970; 0 before the first."""
        return 0.0 if self.last_at_s is None else time.time() - time.monotonic() + self.last_at_s

    def add_answer(self, outcome: Outcome) -> None:
        """Count a request that was answered."""
        self.n_answered += 1
        self.n_items += len(outcome.results)
        self.queue_s += outcome.queue_ms / 1000
        self.inference_s += outcome.inference_ms / 1000

    def add_failure(self, job: Job) -> None:
        """Count a request that ends without an answer."""
        self.failed.count += 1
        self.failed.total_s += time.monotonic() - job.enqueued_at

    def add_batch(self, n_items: int, started_at_s: float, finished_at_s: float) -> None:
        """Count a batch of this size; the times are by `time.monotonic`."""
        batches = self.batches[n_items]
        batches.count += 1
        batches.total_s += finished_at_s - started_at_s
        self.last_at_s = finished_at_s

    def add_step(self, n_ended: int, finished_at_s: float) -> None:
        """Count the inputs whose last text ended with a step of generation."""
        self.n_generated += n_ended
        self.last_at_s = finished_at_s
