"""The time by which a request must be answered."""

import time
from dataclasses import dataclass
from typing import Self

from app.errors import DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time by which a request must be answered.

    Attributes:
        at_s: a time of `time.monotonic`, in seconds.
        limit_ms: the limit in milliseconds that the time came from.
        advice: what the client can do if the time is too short; the end of a sentence.
    """

    at_s: float
    limit_ms: int
    advice: str

    @classmethod
    def after(cls, limit_ms: int, advice: str) -> Self:
        """Return the deadline that is `limit_ms` milliseconds from now."""
        return cls(time.monotonic() + limit_ms / 1000, limit_ms, advice)

    def exceeded(self) -> DeadlineExceeded:
        """Return the error to raise once the deadline has passed."""
        return DeadlineExceeded(f"the answer was not ready within {self.limit_ms} ms; {self.advice}")
