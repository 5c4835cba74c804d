"""When the inference of a request began and ended, for the metrics of whoever asked for it."""

import time
from contextvars import ContextVar
from dataclasses import dataclass

from app.engine.trace import Trace


@dataclass(slots=True)
class Measurement:
    """The inference of one request, which may be several calls of `infer`.

    Attributes:
        model, task: names of the last call's.
        trace: the trace that the inference is part of, if the request is traced.
        started_at, finished_at: when the first call began and the last one ended (`time.monotonic`); 0 until then.
    """

    model: str | None = None
    task: str | None = None
    trace: Trace | None = None
    started_at: float = 0.0
    finished_at: float = 0.0

    def begin(self, model: str, task: str) -> None:
        """Note that a call has begun."""
        self.model, self.task = model, task
        if not self.started_at:
            self.started_at = time.monotonic()

    def end(self) -> None:
        """Note that a call has ended."""
        self.finished_at = time.monotonic()


MEASUREMENT: ContextVar[Measurement | None] = ContextVar("measurement", default=None)
"""The measurement that `infer` fills; None where nobody asks for one."""
