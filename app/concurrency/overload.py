"""What the event loop does while requests are refused because a queue is full."""

import asyncio
import time

MAX_PAUSE_S = 0.005
"""Longest pause, in seconds."""


class OverloadPauses:
    """Lets the event loop pause after each turn in which it refused requests because a queue was full.

    A loop that refuses thousands of requests a second keeps the interpreter lock from the workers, which need it after
    every operation, so that they serve only a part of what they could. A pause is as long as the refusals of the turn
    took: at most half of the time is spent on refusing. Requests gather meanwhile, and the next turn refuses several at
    once.
    """

    def __init__(self) -> None:
        self._first_refusal_s: float | None = None

    def pause_after_turn(self) -> None:
        """Schedule a pause for after the refusals of this turn; must be called on the event loop by each of them."""
        if self._first_refusal_s is None:
            self._first_refusal_s = time.monotonic()
            asyncio.get_running_loop().call_soon(self._pause, self._first_refusal_s)

    def _pause(self, first_refusal_s: float) -> None:
        self._first_refusal_s = None
        time.sleep(min(MAX_PAUSE_S, time.monotonic() - first_refusal_s))
