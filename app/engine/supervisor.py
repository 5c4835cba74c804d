"""Keeps one worker alive: starts it, and replaces it when it dies or does not come back from a forward pass."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

from app.engine.policy import Job
from app.engine.worker import Delivery, Plan, Step, Worker
from app.errors import InferenceFailed
from app.settings import Settings

log = logging.getLogger(__name__)

FIRST_RESTART_WAIT_S = 0.05
END_S = 1.0
"""How long a thread may take to end once it has said that it does."""
MAX_STUCK = 3
"""Threads of one worker that may be stuck in a forward pass; beyond it, no other starts until one of them ends."""


class Health(StrEnum):
    """Of a worker, best first. Only `READY` means that a real forward pass has succeeded on the thread now alive."""

    READY = "ready"
    STARTING = "starting"
    RECOVERING = "recovering"
    STOPPED = "stopped"


class Supervisor:
    """Of one worker. All methods run on the event loop, as do the callbacks.

    `on_batch` and `on_step` hear what the worker says, `on_guilty` of jobs that are given up with it.
    """

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        *,
        on_batch: Callable[[Delivery], None],
        on_step: Callable[[Step], None],
        on_guilty: Callable[[Sequence[Job]], None],
    ) -> None:
        self._plan, self._settings = plan, settings
        self._hear_batch, self._hear_step, self._on_guilty = on_batch, on_step, on_guilty
        self._loop = asyncio.get_running_loop()
        self._health = Health.STARTING
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._stopped: asyncio.Future[None] = self._loop.create_future()
        self._restart: asyncio.TimerHandle | None = None
        self._stuck: list[Worker] = []
        self._n_deaths_in_a_row = 0
        self._worker = self._spawn()
        self._watch()

    @property
    def health(self) -> Health:
        """The state of the worker, its thread looked at this very moment."""
        if self._health is Health.READY and not self._worker.thread.is_alive():
            return Health.RECOVERING
        return self._health

    @property
    def n_running(self) -> int:
        """Sequences that are being made by steps."""
        return self._worker.n_rows

    async def started(self) -> None:
        """Wait for the first real forward passes.

        Raises:
            InferenceFailed: they failed.
        """
        await asyncio.shield(self._started)

    def retire(self) -> None:
        """From now on the worker may end, and no other takes its place."""
        self._health = Health.STOPPED
        if self._restart:
            self._restart.cancel()

    async def ended(self) -> list[Job]:
        """Wait until the worker has served what waits in the closed queue.

        What it leaves unserved is in the queue again, but for the jobs that are returned: they are given up.
        """
        worker = self._worker
        if worker.thread.is_alive() and not worker.hands.is_retired:
            await asyncio.shield(self._stopped)
        self._watching.cancel()
        if not worker.hands.is_retired:  # it has told of its end; until that comes, its frames hold the model
            await asyncio.to_thread(worker.thread.join, END_S)
        return self._plan.queue.give_back(self._worker.hands, for_good=True)

    def _spawn(self) -> Worker:
        def call(callback: Callable[..., None], *arguments: object) -> None:
            """From the worker's thread to the loop, unless the loop is gone."""
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(callback, *arguments)

        def unless_retired(callback: Callable[..., None], *arguments: object) -> None:
            if not worker.hands.is_retired:
                callback(*arguments)

        worker = Worker(
            self._plan,
            on_ready=lambda: call(unless_retired, self._on_ready),
            on_batch=lambda delivery: call(self._on_batch, delivery),
            on_step=lambda step: call(unless_retired, self._on_step, step),
            on_exit=lambda reason: call(unless_retired, self._on_exit, reason),
        )
        worker.start()
        return worker

    def _watch(self) -> None:
        """Look, from time to time, whether the worker is stuck.

        A thread cannot be killed: one that is stuck is left to itself, given nothing more, and another takes its place.
        """
        limit_s = self._settings.stuck_after_ms / 1000
        self._watching = self._loop.call_later(limit_s / 4, self._watch)
        since = self._worker.busy_since
        if since is None or self._worker.hands.is_retired or time.monotonic() - since < limit_s:
            return
        self._stuck.append(self._worker)
        self._on_exit(TimeoutError(f"a forward pass did not end within {limit_s:g} s"))

    def _on_ready(self) -> None:
        if self._health is not Health.STOPPED:
            self._health = Health.READY
        if not self._started.done():
            self._started.set_result(None)

    def _on_batch(self, delivery: Delivery) -> None:
        self._n_deaths_in_a_row = 0
        self._hear_batch(delivery)

    def _on_step(self, step: Step) -> None:
        if step.told:
            self._n_deaths_in_a_row = 0
        self._hear_step(step)

    def _on_exit(self, reason: BaseException | None) -> None:
        if self._health is Health.STOPPED:
            if not self._stopped.done():  # by the watch, which took it for stuck
                self._stopped.set_result(None)
            return
        self._health = Health.RECOVERING
        log.error("worker died", exc_info=reason, extra={"model": self._plan.name})
        self._on_guilty(self._plan.queue.give_back(self._worker.hands, for_good=True))
        if not self._started.done():
            self._health = Health.STOPPED
            self._watching.cancel()
            self._started.set_exception(InferenceFailed(f"the first forward pass failed: {reason}"))
            return
        wait_s = min(FIRST_RESTART_WAIT_S * 2**self._n_deaths_in_a_row, self._settings.restart_max_wait_ms / 1000)
        self._n_deaths_in_a_row += 1
        self._restart = self._loop.call_later(wait_s, self._start_again)

    def _start_again(self) -> None:
        self._stuck = [worker for worker in self._stuck if worker.thread.is_alive()]
        if len(self._stuck) > MAX_STUCK:
            self._restart = self._loop.call_later(self._settings.restart_max_wait_ms / 1000, self._start_again)
        else:
            self._worker = self._spawn()
