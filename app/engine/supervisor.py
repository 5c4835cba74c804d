"""Keeps one worker alive: starts it, and replaces it when it dies or does not return from a forward pass."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

from app.engine.job import Job
from app.engine.worker import BatchReport, StepReport, Worker
from app.engine.worker_config import WorkerConfig
from app.errors import InferenceFailed
from app.settings import Settings

log = logging.getLogger(__name__)

FIRST_RESTART_WAIT_S = 0.05
"""Pause in seconds before the first restart; it doubles with every further death in a row."""
JOIN_TIMEOUT_S = 1.0
"""Longest wait, in seconds, for a thread that has reported its end."""
MAX_STUCK = 3
"""Maximum number of stuck threads of one worker beside which a new one is started; more must end first."""


class Health(StrEnum):
    """The health of a worker, best first. `READY` means that its present thread has succeeded in a forward pass."""

    READY = "ready"
    STARTING = "starting"
    RECOVERING = "recovering"
    STOPPED = "stopped"


class Supervisor:
    """Supervises one worker. All methods run on the event loop, and so do the callbacks.

    `on_batch` and `on_steps` receive the worker's reports. `on_given_up` receives the jobs that are not retried after
    the worker died.
    """

    def __init__(
        self,
        config: WorkerConfig,
        settings: Settings,
        *,
        on_batch: Callable[[BatchReport], None],
        on_steps: Callable[[StepReport], None],
        on_given_up: Callable[[Sequence[Job]], None],
    ) -> None:
        self._config = config
        self._restart_max_wait_s = settings.restart_max_wait_ms / 1000
        self._stuck_after_s = settings.stuck_after_ms / 1000
        self._on_batch, self._on_steps, self._on_given_up = on_batch, on_steps, on_given_up
        self._loop = asyncio.get_running_loop()
        self._health = Health.STARTING
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._stopped: asyncio.Future[None] = self._loop.create_future()
        self._restart: asyncio.TimerHandle | None = None
        self._stuck: list[Worker] = []
        self._n_deaths_in_a_row = 0
        self._has_let_go = False
        self._worker = self._start_worker()
        self._check_if_stuck()

    @property
    def health(self) -> Health:
        """The present health. A thread that has died since its last report counts as recovering."""
        if self._health is Health.READY and not self._worker.thread.is_alive():
            return Health.RECOVERING
        return self._health

    @property
    def n_running(self) -> int:
        """Sequences that the worker is generating."""
        return self._worker.n_rows

    async def started(self) -> None:
        """Wait until the worker's first forward passes have succeeded.

        Raises:
            InferenceFailed: the first forward passes failed.
        """
        await asyncio.shield(self._started)

    def retire(self) -> None:
        """Let the worker end without being replaced."""
        self._health = Health.STOPPED
        if self._restart:
            self._restart.cancel()

    def abandon(self) -> None:
        """Let `ended` wait no longer for the thread of a retired worker, which may be stuck."""
        if self._health is Health.STOPPED and not self._stopped.done():
            self._stopped.set_result(None)

    async def ended(self) -> list[Job]:
        """Wait until a retired worker has served the jobs that wait in the closed queue.

        Work that it leaves unfinished is put back into the queue. Returns the jobs that are given up instead.
        """
        worker = self._worker
        if self._has_let_go:
            return []
        if not worker.slot.is_retired:  # the thread may have ended, and its last reports still wait for the loop
            await asyncio.shield(self._stopped)
        self._stuck_timer.cancel()
        if not worker.slot.is_retired:  # the thread's frames refer to the model until it has really ended
            await asyncio.to_thread(worker.thread.join, JOIN_TIMEOUT_S)
        given_up = self._config.queue.give_back(self._worker.slot, retire=True)
        if not worker.thread.is_alive():
            self._let_go()
        return given_up

    def _let_go(self) -> None:
        """Drop the model and the engine, so that they are freed at once.

        The engine, its supervisors and their workers refer to one another. To find such a cycle, Python traverses all
        objects, which stops the server for up to 140 ms.
        """
        self._has_let_go = True
        self._worker.let_go()
        del self._config, self._on_batch, self._on_steps, self._on_given_up

    def _start_worker(self) -> Worker:
        """Start a thread whose callbacks run on the event loop.

        Callbacks of a retired thread are ignored, except for the results of a batch, which are valid all the same
        until the engine has ended.
        """

        def schedule(callback: Callable[..., None], *arguments: object) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(callback, *arguments)

        def unless_retired(callback: Callable[..., None], *arguments: object) -> None:
            if not worker.slot.is_retired:
                callback(*arguments)

        worker = Worker(
            self._config,
            on_ready=lambda: schedule(unless_retired, self._handle_ready),
            on_batch=lambda report: schedule(self._handle_batch, report),
            on_steps=lambda report: schedule(unless_retired, self._handle_steps, report),
            on_exit=lambda reason: schedule(unless_retired, self._handle_exit, reason),
        )
        worker.thread.start()
        return worker

    def _check_if_stuck(self) -> None:
        """Replace the worker if its forward pass takes too long, and schedule the next check.

        A thread cannot be killed. One that is stuck is given no more work and is left alone until it ends by itself.
        """
        self._stuck_timer = self._loop.call_later(self._stuck_after_s / 4, self._check_if_stuck)
        since = self._worker.busy_since
        if since is None or self._worker.slot.is_retired or time.monotonic() - since < self._stuck_after_s:
            return
        self._stuck.append(self._worker)
        self._handle_exit(TimeoutError(f"a forward pass did not end within {self._stuck_after_s:g} s"))

    def _handle_ready(self) -> None:
        if self._health is not Health.STOPPED:
            self._health = Health.READY
        if not self._started.done():
            self._started.set_result(None)

    def _handle_batch(self, report: BatchReport) -> None:
        if self._has_let_go:  # a thread that was stuck has returned, and nobody waits for its results any more
            return
        self._n_deaths_in_a_row = 0
        self._on_batch(report)

    def _handle_steps(self, report: StepReport) -> None:
        if report.progress:
            self._n_deaths_in_a_row = 0
        self._on_steps(report)

    def _handle_exit(self, reason: BaseException | None) -> None:
        """Fail the jobs that cannot be retried, and start another worker after a pause.

        If no worker has ever completed its first forward passes, no other is started.
        """
        if self._health is Health.STOPPED:
            if not self._stopped.done():  # it is done if the worker was considered stuck before
                self._stopped.set_result(None)
            return
        self._health = Health.RECOVERING
        log.error("worker died", exc_info=reason, extra={"model": self._config.name})
        self._on_given_up(self._config.queue.give_back(self._worker.slot, retire=True))
        if not self._started.done():
            self._health = Health.STOPPED
            self._stuck_timer.cancel()
            self._started.set_exception(InferenceFailed(f"the first forward pass failed: {reason}"))
            return
        wait_s = min(FIRST_RESTART_WAIT_S * 2**self._n_deaths_in_a_row, self._restart_max_wait_s)
        self._n_deaths_in_a_row += 1
        self._restart = self._loop.call_later(wait_s, self._replace_worker)

    def _replace_worker(self) -> None:
        self._stuck = [worker for worker in self._stuck if worker.thread.is_alive()]
        if len(self._stuck) > MAX_STUCK:
            self._restart = self._loop.call_later(self._restart_max_wait_s, self._replace_worker)
            return
        self._worker = self._start_worker()
        self._config.observer.worker_restarted(self._config.name)
