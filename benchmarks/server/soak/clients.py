"""The clients of the soak: each sends one request at a time, and some leave before their answer."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence

from benchmarks.server.http_client import Answer, Client
from benchmarks.server.soak.expectation import Expectation
from benchmarks.server.soak.ledger import Ledger
from benchmarks.server.soak.requests import Mixture, SoakRequest

ONE_IN_LEAVING = 50
"""One request in so many is abandoned by its client."""
RECONNECT_S = 0.1
N_LESSONS = 3
"""Answers to each request from which the right one is learnt."""
SLOW_MS = 2.0
"""A request that takes so many milliseconds is half as common as one that takes none."""


async def learn(port: int, requests: Sequence[SoakRequest], n_clients: int) -> tuple[Mixture, list[Expectation]]:
    """Ask each request alone, and again beside others; return how often to send each, and the right answers.

    Raises:
        RuntimeError: An answer has a status that the request may not have.
    """
    lessons = [await _ask_all(port, requests, f"lesson-{n}", n_clients if n else 1) for n in range(N_LESSONS)]
    expectations, weights = [], []
    for request, *answers in zip(requests, *lessons, strict=True):
        answer, seconds, _ = answers[0]
        if answer.status not in request.statuses:
            raise RuntimeError(f"{request.name}, {request.model}: {answer.status} {answer.body[:300]!r}")
        expectations.append(Expectation.of([(answer, request_id) for answer, _, request_id in answers]))
        weights.append(1 / (1 + seconds * 1000 / SLOW_MS))
    return Mixture(requests, weights), expectations


async def _ask_all(
    port: int, requests: Sequence[SoakRequest], prefix: str, n_clients: int = 1
) -> list[tuple[Answer, float, str]]:
    """Return answers, the seconds they took, and the ids of the requests, in order."""
    results: list[tuple[Answer, float, str] | None] = [None] * len(requests)
    numbers = iter(range(len(requests)))

    async def ask() -> None:
        client = Client(port)
        for number in numbers:
            request_id, started_at = f"{prefix}-{number}", time.perf_counter()
            answer = await client.send(requests[number].with_id(request_id), 60.0)
            results[number] = answer, time.perf_counter() - started_at, request_id
        client.close()

    await asyncio.gather(*(ask() for _ in range(n_clients)))
    return [result for result in results if result is not None]


class Crowd:
    """Clients that share a budget of requests. `pause` lets all wait, `resume` lets them go on."""

    def __init__(
        self,
        port: int,
        mixture: Mixture,
        expectations: Sequence[Expectation],
        ledger: Ledger,
        *,
        n_requests: int,
        answer_timeout_s: float,
        on_request: Callable[[int], object],
    ) -> None:
        self._port, self._mixture, self._ledger, self._n_requests = port, mixture, ledger, n_requests
        self._expectations = dict(zip(mixture.requests, expectations, strict=True))
        self._answer_timeout_s, self._on_request = answer_timeout_s, on_request
        self._may_go = asyncio.Event()
        self._may_go.set()
        self._is_stopped = False
        self.n_waiting = 0
        """How many clients wait for an answer."""

    @property
    def is_done(self) -> bool:
        """Return whether all requests were sent."""
        return self._is_stopped or self._ledger.n_sent >= self._n_requests

    def stop(self) -> None:
        """Send no more requests."""
        self._is_stopped = True
        self._may_go.set()

    async def pause(self) -> None:
        """Hold all clients, and wait until none waits for an answer."""
        self._may_go.clear()
        while self.n_waiting:
            await asyncio.sleep(0.05)

    def resume(self) -> None:
        """Let the clients go on."""
        self._may_go.set()

    async def send_all(self, number: int) -> None:
        """Send requests until the budget is spent, as the client with this number."""
        client, draw = Client(self._port), random.Random(number)  # noqa: S311 not a secret
        while True:
            await self._may_go.wait()
            if self.is_done:
                break
            self._ledger.n_sent += 1
            n = self._ledger.n_sent
            self._on_request(n)
            self.n_waiting += 1
            try:
                await self._send(client, draw, self._mixture.next(draw.choices), f"soak-{n}")
            finally:
                self.n_waiting -= 1
        client.close()

    async def _send(self, client: Client, draw: random.Random, request: SoakRequest, request_id: str) -> None:
        """Send a request and account for it; one in some is abandoned after a short time."""
        is_leaving = draw.randrange(ONE_IN_LEAVING) == 0
        timeout_s = draw.uniform(0.001, 0.02) if is_leaving else self._answer_timeout_s
        sent_at = time.monotonic()
        try:
            answer = await client.send(request.with_id(request_id), timeout_s)
        except TimeoutError:
            if is_leaving:
                self._ledger.n_abandoned += 1
            else:
                self._ledger.missing(request, f"no answer within {timeout_s:g} s", (sent_at, time.monotonic()))
        except (OSError, ValueError) as error:
            self._ledger.missing(request, f"{type(error).__name__}: {error}", (sent_at, time.monotonic()))
            client.close()
            await asyncio.sleep(RECONNECT_S)
        else:
            times = sent_at, time.monotonic()
            self._ledger.answered(request, request_id, answer, self._expectations[request], times)
