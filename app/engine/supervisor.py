"""Starts a model's worker, restarts it when it dies, and sees to it that every future is resolved."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

from app.engine.execution import NotANumber
from app.engine.policy import Job, Listener, Outcome
from app.engine.queue import JobQueue
from app.engine.worker import Delivery, Step, Worker
from app.errors import Fault, InferenceFailed, ModelUnavailable, QueueFull
from app.settings import Settings
from models.errors import InvalidItems, Problem
from models.family import Model
from models.layers.generation import collected
from models.tasks import Request, Task
from models.tasks.text import Progress

log = logging.getLogger(__name__)

FIRST_RESTART_WAIT_S = 0.05
MAX_STUCK = 3
"""Threads of one model that may be stuck in a forward pass; beyond it, no other is started until one of them ends."""
MAX_RETRY_AFTER_S = 60
_SMOOTHING = 0.1


class Health(StrEnum):
    """Of one worker. Only `READY` means that a real forward pass has succeeded on the thread now alive."""

    STARTING = "starting"
    READY = "ready"
    RECOVERING = "recovering"
    STOPPED = "stopped"


class Supervisor:
    """The engine of one model. All methods run on the event loop."""

    def __init__(self, name: str, model: Model, tasks: Sequence[Task], settings: Settings, *, budget: int) -> None:
        self._budget = budget
        self._name, self._model, self._tasks, self._settings = name, model, tasks, settings
        self._loop = asyncio.get_running_loop()
        self._queue = JobQueue(settings.max_queue_items)
        self._health = Health.STARTING
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._stopped: asyncio.Future[None] = self._loop.create_future()
        self._restart: asyncio.TimerHandle | None = None
        self._stuck: list[Worker] = []
        self._n_deaths_in_a_row = 0
        self._items_per_s = 0.0
        self._step_seconds = 0.0
        self._worker = self._spawn()
        self._watch()

    @property
    def health(self) -> Health:
        """The state of the worker, its thread looked at this very moment."""
        if self._health is Health.READY and not self._worker.thread.is_alive():
            return Health.RECOVERING
        return self._health

    @property
    def n_queued(self) -> int:
        """Requests waiting."""
        return len(self._queue)

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

    def require_room(self) -> None:
        """Refuse before a request is decoded what would be refused after it.

        Raises:
            QueueFull: not even one item more may wait.
        """
        if len(self._queue) >= self._settings.max_queue_items:
            raise self._queue_full()

    async def submit(self, task: Task, requests: Sequence[Request], listen: Listener | None = None) -> Outcome:
        """Run the requests, in company or alone; a caller that is cancelled frees their place.

        Of a task made by steps, `listen` hears of each.

        Raises:
            QueueFull: as many requests as allowed are waiting.
            ModelUnavailable: the engine is stopping.
            InvalidItems: the model refuses a request.
            InferenceFailed: the forward pass raised on one of the requests.
        """
        if self._health is Health.STOPPED:
            raise ModelUnavailable(f"{self._name} is unloading", retry_after_s=1)
        future: asyncio.Future[Outcome] = self._loop.create_future()
        job = Job(task=task, requests=requests, future=future, enqueued_at=time.monotonic(), listen=listen)
        if not self._queue.put(job):
            raise self._queue_full(f" and this request has {len(requests)}")
        try:
            return await future
        finally:
            job.is_abandoned = True
            self._queue.remove(job)
            self._queue.ended([job])

    async def stop(self) -> None:
        """Serve what is waiting, then end the thread. Whatever cannot be served is refused, never left waiting."""
        self._health = Health.STOPPED
        self._queue.close()
        if self._restart:
            self._restart.cancel()
        if self._worker.thread.is_alive() and not self._worker.is_given_up:
            await asyncio.shield(self._stopped)
        self._watching.cancel()
        unserved = [*self._queue.return_in_flight(), *self._queue.clear()]
        self._fail(unserved, ModelUnavailable(f"{self._name} is unloading", retry_after_s=1))

    def _spawn(self) -> Worker:
        def call(callback: Callable[..., None], *arguments: object) -> None:
            """From the worker's thread to the loop, unless the loop is gone."""
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(callback, *arguments)

        def unless_given_up(callback: Callable[..., None], *arguments: object) -> None:
            if not worker.is_given_up:
                callback(*arguments)

        worker = Worker(
            self._name,
            self._model,
            self._tasks,
            self._queue,
            budget=self._budget,
            max_rows=self._settings.max_running_sequences,
            n_remembered=self._settings.max_prefix_tokens,
            torch_threads=self._settings.torch_threads,
            probe_every_s=self._settings.probe_every_ms / 1000,
            on_ready=lambda: call(unless_given_up, self._on_ready),
            on_batch=lambda delivery: call(self._on_batch, delivery),
            on_step=lambda step: call(unless_given_up, self._on_step, step),
            on_exit=lambda reason: call(unless_given_up, self._on_exit, reason),
        )
        worker.start()
        return worker

    def _watch(self) -> None:
        """Look, from time to time, whether the worker is stuck.

        A thread cannot be killed: one that is stuck is left to itself, with an empty queue, and another takes its place
        and what it had.
        """
        limit_s = self._settings.stuck_after_ms / 1000
        self._watching = self._loop.call_later(limit_s / 4, self._watch)
        since = self._worker.busy_since
        if since is None or self._worker.is_given_up or time.monotonic() - since < limit_s:
            return
        self._worker.is_given_up = True
        self._stuck.append(self._worker)
        self._queue = self._queue.heir()
        self._on_exit(TimeoutError(f"a forward pass did not end within {limit_s:g} s"))

    def _on_ready(self) -> None:
        if self._health is not Health.STOPPED:
            self._health = Health.READY
        if not self._started.done():
            self._started.set_result(None)

    def _on_batch(self, delivery: Delivery) -> None:
        self._n_deaths_in_a_row = 0
        seconds = delivery.finished_at - delivery.started_at
        self._measure(len(delivery.outcomes), seconds)
        outcomes = iter(delivery.outcomes)
        for part in delivery.batch:
            job = part.job
            if job.queue_ms is None:
                job.queue_ms = (delivery.started_at - job.enqueued_at) * 1000
            job.inference_ms += seconds * 1000
            job.batch_size = max(job.batch_size, len(delivery.outcomes))
            for index in range(part.start, part.stop):
                outcome = next(outcomes)
                if isinstance(outcome, Exception):
                    self._fail([job], self._explain(outcome, index))
                else:
                    job.results[index] = outcome
            self._finish(job)

    def _on_step(self, step: Step) -> None:
        for part in step.began:
            part.job.queue_ms = (step.started_at - part.job.enqueued_at) * 1000
            part.job.told |= {index: [] for index in range(part.start, part.stop)}
        for (job, index), error in step.refused:
            self._fail([job], self._explain(error, index))
        for job in dict.fromkeys(job for (job, _), _ in step.told):
            job.inference_ms += step.seconds * 1000
            job.batch_size = max(job.batch_size, step.n_rows)
        for (job, index), progress in step.told:
            self._tell(job, index, progress)
        for job, index in step.ended:
            job.results[index] = collected(job.told[index])
            self._finish(job)
        if step.broke:
            log.error("a step failed", exc_info=step.broke, extra={"model": self._name})
            detail = "the forward pass failed on this item, or on one beside it while it was being streamed"
            self._fail(step.given_up, InferenceFailed(detail))
        elif step.told:
            self._n_deaths_in_a_row = 0
        self._step_seconds += step.seconds
        if step.ended:
            self._measure(len(step.ended), self._step_seconds)
            self._step_seconds = 0.0

    def _tell(self, job: Job, index: int, progress: Progress) -> None:
        """Keep what is new, unless nobody waits for it, and end the text where its listener says so."""
        if job.future.done() or (index, progress.sequence) in job.abandoned:
            return
        told = job.told[index]
        told.append(progress)
        try:
            ends = job.listen is not None and job.listen(index, progress)
        except Exception as error:  # one caller's fault must not keep the others from hearing
            log.exception("a listener failed", extra={"model": self._name})
            detail = "what was generated could not be told"
            self._fail([job], InferenceFailed(f"{detail}: {type(error).__name__}", [Fault(f"/inputs/{index}", detail)]))
            return
        if ends and progress.finish_reason is None:
            job.abandoned.add((index, progress.sequence))
            told.append(Progress(progress.sequence, None, "stop"))

    @staticmethod
    def _finish(job: Job) -> None:
        """Answer a job all of whose requests are done."""
        if len(job.results) == len(job.requests) and not job.future.done():
            job.future.set_result(
                Outcome(
                    results=[job.results[i] for i in range(len(job.requests))],
                    queue_ms=job.queue_ms or 0.0,
                    inference_ms=job.inference_ms,
                    batch_size=job.batch_size,
                )
            )

    def _on_exit(self, reason: BaseException | None) -> None:
        if self._health is Health.STOPPED:
            self._stopped.set_result(None)
            return
        self._health = Health.RECOVERING
        log.error("worker died", exc_info=reason, extra={"model": self._name})
        if not self._started.done():
            self._health = Health.STOPPED
            self._watching.cancel()
            self._started.set_exception(InferenceFailed(f"the first forward pass failed: {reason}"))
            return
        guilty = self._queue.return_in_flight()
        self._fail(guilty, InferenceFailed("the worker died twice on this request"))
        wait_s = min(FIRST_RESTART_WAIT_S * 2**self._n_deaths_in_a_row, self._settings.restart_max_wait_ms / 1000)
        self._n_deaths_in_a_row += 1
        self._restart = self._loop.call_later(wait_s, self._start_again)

    def _start_again(self) -> None:
        self._stuck = [worker for worker in self._stuck if worker.thread.is_alive()]
        if len(self._stuck) > MAX_STUCK:
            self._restart = self._loop.call_later(self._settings.restart_max_wait_ms / 1000, self._start_again)
        else:
            self._worker = self._spawn()

    def _explain(self, error: Exception, index: int) -> Exception:
        if isinstance(error, InvalidItems):
            return InvalidItems(*(Problem(problem.detail, index) for problem in error.problems))
        log.error("forward pass failed", exc_info=error, extra={"model": self._name, "item": index})
        is_nan = isinstance(error, NotANumber)
        detail = (
            "the model's output for this item is not a number" if is_nan else "the forward pass failed on this item"
        )
        return InferenceFailed(detail, [Fault(f"/inputs/{index}", detail)])

    @staticmethod
    def _fail(jobs: Sequence[Job], error: Exception) -> None:
        for job in jobs:
            if not job.future.done():
                job.future.set_exception(error)

    def _measure(self, n_items: int, seconds: float) -> None:
        rate = n_items / max(seconds, 1e-6)
        self._items_per_s += (rate - self._items_per_s) * (_SMOOTHING if self._items_per_s else 1.0)

    def _queue_full(self, asked: str = "") -> QueueFull:
        waiting = f"{len(self._queue)} items are waiting for {self._name}{asked}"
        limit = f"the limit is {self._settings.max_queue_items}"
        return QueueFull(f"{waiting}; {limit}", retry_after_s=self._retry_after_s())

    def _retry_after_s(self) -> int:
        """When about half of the backlog will be gone, in whole seconds."""
        seconds = len(self._queue) / 2 / self._items_per_s if self._items_per_s else 1.0
        return min(max(1, math.ceil(seconds)), MAX_RETRY_AFTER_S)
