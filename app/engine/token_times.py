"""The times of generated tokens, for the observer of an engine."""

import time
from collections.abc import Iterable

from app.engine.job import Job


class TokenTimes:
    """Measures how long requests wait for their first token, and how long passes between two steps."""

    def __init__(self) -> None:
        self._waiting: list[Job] = []
        self._stepped_at: float | None = None

    def joined(self, jobs: Iterable[Job]) -> None:
        """Note jobs that wait for their first token from now on."""
        self._waiting += jobs

    def after_step(self, jobs: Iterable[Job], n_rows: int) -> tuple[list[float], float | None]:
        """Return the times that a step of these jobs has ended, and that it leaves `n_rows` running sequences with.

        They are, in seconds: for each job whose first token this is, the time since it was queued; and the time since
        the last step, None if that has left no running sequences.
        """
        now, first_token_s = time.monotonic(), []
        if self._waiting:
            begun = set(jobs)
            first_token_s = [now - job.enqueued_at for job in self._waiting if job in begun]
            self._waiting = [job for job in self._waiting if job not in begun and not job.is_abandoned]
        interval_s = None if self._stepped_at is None else now - self._stepped_at
        self._stepped_at = now if n_rows else None
        return first_token_s, interval_s
