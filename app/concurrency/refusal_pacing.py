"""A limit on how many requests a second are refused because a queue is full."""

import asyncio
from collections import deque

INTERVAL_S = 0.05
"""Length of an interval, in seconds."""
MAX_REFUSALS = 20
"""Number of refusals in an interval from which the others wait for a later interval."""
MAX_WAIT_S = 2.5
"""About the longest time in seconds that a refusal waits. If more refusals wait than that allows, more are answered."""


class RefusalPacing:
    """Delays refusals beyond `MAX_REFUSALS` in an interval, so that a server that is overloaded can still serve.

    A refusal takes a good part of the processor time of a small request. Most clients send the next request once they
    have the answer to the last, so that thousands of prompt refusals a second would leave little time for the forward
    passes; see docs/performance.md. Nothing else is delayed: the event loop answers other requests meanwhile.
    """

    def __init__(self) -> None:
        self._n_free = MAX_REFUSALS
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_running = False

    async def wait_for_turn(self) -> None:
        """Return at once if few requests have been refused in this interval, in a later interval otherwise."""
        loop = asyncio.get_running_loop()
        if not self._is_running:
            self._is_running = True
            loop.call_later(INTERVAL_S, self._begin_interval)
        if self._n_free > 0:
            self._n_free -= 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _begin_interval(self) -> None:
        """Let the refusals that have waited longest go ahead; stop once an interval has passed without refusals."""
        has_had_refusals = self._n_free < MAX_REFUSALS
        n_refusals = min(len(self._waiting), max(MAX_REFUSALS, int(len(self._waiting) * INTERVAL_S / MAX_WAIT_S)))
        for _ in range(n_refusals):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
        self._n_free = max(0, MAX_REFUSALS - n_refusals)
        self._is_running = has_had_refusals
        if self._is_running:
            asyncio.get_running_loop().call_later(INTERVAL_S, self._begin_interval)
