"""The time by which a request must be answered."""

import time
from dataclasses import dataclass
from typing import Self

from app.errors import DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time of `time.monotonic`, in seconds, and the limit in milliseconds it came from."""

    at_s: float
    limit_ms: int

    @classmethod
    def after(cls, limit_ms: int) -> Self:
        """Return the deadline that is `limit_ms` milliseconds from now."""
        return cls(time.monotonic() + limit_ms / 1000, limit_ms)

    def exceeded(self) -> DeadlineExceeded:
        """Return the error to raise once the deadline has passed."""
        return DeadlineExceeded(f"the answer was not ready within {self.limit_ms} ms")
