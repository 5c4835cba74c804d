"""Counts of what an engine has done since its model was loaded."""

import time
from dataclasses import dataclass, field

from app.engine.job import Job, Outcome


@dataclass(slots=True)
class Duration:
    """How often something was done, and the time that it took in all, in seconds."""

    count: int = 0
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count it once more."""
        self.count += 1
        self.total_s += seconds


@dataclass(slots=True)
class EngineStatistics:
    """The counts of one engine. Only the event loop reads and writes them.

    Attributes:
        succeeded: requests that were answered, from their submission to the last result.
        failed: requests that ended without an answer.
        queue: the part of the time of answered requests in which they waited for a worker.
        inference: the rest of that time.
        n_items: items of answered requests.
        n_executions: batches that were computed, and sequences of texts that were generated to their end.
        batches: the batches by their number of items; steps of generation are not among them.
        last_at_s: time of the last batch or step, in seconds since 1970; 0 before the first.
    """

    succeeded: Duration = field(default_factory=Duration)
    failed: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    inference: Duration = field(default_factory=Duration)
    n_items: int = 0
    n_executions: int = 0
    batches: dict[int, Duration] = field(default_factory=dict)
    last_at_s: float = 0.0

    def add_answer(self, outcome: Outcome) -> None:
        """Count a request that was answered."""
        queue_s, inference_s = outcome.queue_ms / 1000, outcome.inference_ms / 1000
        self.n_items += len(outcome.results)
        self.queue.add(queue_s)
        self.inference.add(inference_s)
        self.succeeded.add(queue_s + inference_s)

    def add_failure(self, job: Job) -> None:
        """Count a request that ends without an answer."""
        self.failed.add(time.monotonic() - job.enqueued_at)

    def add_batch(self, n_items: int, seconds: float) -> None:
        """Count a batch."""
        self.n_executions += 1
        self.last_at_s = time.time()
        self.batches.setdefault(n_items, Duration()).add(seconds)

    def add_sequences(self, n_ended: int) -> None:
        """Count the sequences that ended with a step of generation."""
        self.n_executions += n_ended
        self.last_at_s = time.time()
