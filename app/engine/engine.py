"""Serves one model: queues requests, batches them over its workers, and resolves every future."""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

from app.engine.failures import explain
from app.engine.job import Job, OnProgress, Outcome
from app.engine.observer import EngineObserver, guard
from app.engine.queue import KEPT_FOR_SMALL_JOBS, JobQueue
from app.engine.sharing import INACTIVE_AFTER_S
from app.engine.statistics import EngineStatistics
from app.engine.supervisor import Health, Supervisor
from app.engine.trace import Trace, record_answer
from app.engine.turns import ForwardTurns
from app.engine.worker import BatchReport, StepReport
from app.engine.worker_config import is_on_gpu, worker_configs
from app.errors import Fault, InferenceFailed, ModelUnavailable, QueueFull
from app.settings import Settings
from models.family import Model
from models.generation.generator import Generator
from models.generation.tasks import collect_result
from models.tasks import Request, Task
from models.tasks.generation import Progress
from models.text.text_model import TextModel

log = logging.getLogger(__name__)

MAX_RETRY_AFTER_S = 60
"""Longest time in seconds after which a client is asked to try again while the queue is full."""
DEFAULT_BACKLOG_S = 2.0
"""Estimated time in seconds that the waiting requests take, used before anything has been served."""
_SMOOTHING = 0.1
"""Weight of the newest rate in the smoothed one."""


class Engine:
    """Serves one model with one queue, and a worker for each replica. All methods run on the event loop.

    Replicas on the same device may be the same object, because a forward pass changes nothing in a model. `budget`
    limits a batch, in elements or tokens. On a CPU, the workers of all engines that share `turns`
    compute in turn.

    Attributes:
        workers: the workers, one for each replica, and on a CPU another one for small jobs.
        statistics: counts of what was done since the start.
    """

    def __init__(
        self,
        name: str,
        replicas: Sequence[Model],
        tasks: Sequence[Task],
        settings: Settings,
        *,
        budget: int,
        turns: ForwardTurns,
        observer: EngineObserver | None = None,
    ) -> None:
        self.name, self._settings = name, settings
        self._observer = guard(observer)
        self.statistics = EngineStatistics()
        self._loop = asyncio.get_running_loop()
        steps_on_one_worker = all(isinstance(model, Generator) and model.runs_on_kernels for model in replicas)
        self._queue = JobQueue(
            settings.max_queue_items,
            settings.max_running_sequences,
            max_small_cost=budget,
            steps_on_one_worker=steps_on_one_worker,
            short_batches_on_one_worker=not is_on_gpu(replicas) and not isinstance(replicas[0], TextModel),
        )
        self._is_stopped = False
        self._submitted: set[Job] = set()
        self._items_per_s = 0.0  # of one worker, smoothed
        self._step_seconds = 0.0  # spent on steps since a sequence last ended
        self._wake_timer: asyncio.TimerHandle | None = None
        self._cost_of = replicas[0].cost_of
        self._n_replicas = len(replicas)
        configs = worker_configs(
            name, replicas, tasks, settings, budget=budget, queue=self._queue, observer=self._observer, turns=turns
        )
        self.workers = [
            Supervisor(
                config,
                settings,
                on_batch=self._handle_batch,
                on_steps=self._handle_steps,
                on_given_up=lambda jobs: self._fail(jobs, InferenceFailed("the worker died twice on this request")),
            )
            for config in configs
        ]

    @property
    def health(self) -> Health:
        """The worst health of any worker, at this moment."""
        if self._is_stopped:
            return Health.STOPPED
        return max((worker.health for worker in self.workers), key=list(Health).index)

    @property
    def is_idle(self) -> bool:
        """True if no caller waits for an outcome."""
        return not self._submitted

    @property
    def n_queued(self) -> int:
        """Requests that wait for a worker."""
        return len(self._queue)

    @property
    def n_running(self) -> int:
        """Sequences that are being generated."""
        return sum(worker.n_running for worker in self.workers)

    @property
    def backlog_s(self) -> float:
        """Estimated time until all requests that wait now are served, in seconds."""
        rate = self._items_per_s * self._n_replicas
        return len(self._queue) / rate if rate else DEFAULT_BACKLOG_S

    async def started(self) -> None:
        """Wait until the first forward passes of all workers have succeeded.

        Raises:
            InferenceFailed: a forward pass failed, and the engine has stopped.
        """
        try:
            await asyncio.gather(*(worker.started() for worker in self.workers))
        except InferenceFailed:
            await self.stop()
            raise

    def apply(self, settings: Settings) -> None:
        """Follow the settings that can change while the server runs: the limit of the queue."""
        self._settings = settings
        self._queue.set_limit(settings.max_queue_items)

    def require_room(self, n_before: int = 0) -> None:
        """Check that one more item may wait after `n_before` others, before the cost of decoding it is spent.

        The observer is not notified of this refusal, because nothing has been submitted yet.

        Raises:
            QueueFull: the queue would exceed its limit.
        """
        if len(self._queue) + n_before >= self._settings.max_queue_items:
            raise self._queue_full()

    async def submit(
        self,
        task: Task,
        requests: Sequence[Request],
        on_progress: OnProgress | None = None,
        trace: Trace | None = None,
        client: str = "",
    ) -> Outcome:
        """Run the requests, possibly in batches with those of others. If the caller is cancelled, they are dropped.

        A client that asks for much waits for itself; see `FairOrder`. For generation tasks, `on_progress` is called
        with each new token, as soon as it is known. The batches of the requests are recorded in `trace`.

        Raises:
            QueueFull: as many items as allowed are waiting.
            ModelUnavailable: the engine is stopping.
            InvalidItems: the model refuses a request.
            InferenceFailed: the forward pass failed on one of the requests.
        """
        costs = [self._cost_of(task, request) for request in requests]
        job = Job(task, requests, self._loop.create_future(), time.monotonic(), client, costs, on_progress, trace)
        self._enqueue(job)
        self._submitted.add(job)
        try:
            outcome = await job.future
        except BaseException as error:
            self.statistics.add_failure(job)
            self._observer.failed(self.name, task.name, len(requests), error)
            raise
        else:
            self.statistics.add_answer(outcome)
            times = outcome.queue_ms, outcome.inference_ms
            self._observer.finished(self.name, task.name, len(requests), *times, outcome.batch_size)
            return outcome
        finally:
            self._submitted.discard(job)
            job.is_abandoned = True
            self._queue.remove(job)

    async def stop(self) -> None:
        """Serve the waiting requests, then end the workers. Those left unserved fail with `ModelUnavailable`."""
        self._is_stopped = True
        for worker in self.workers:
            worker.retire()
        self._queue.close()
        given_up = await asyncio.gather(*(worker.ended() for worker in self.workers))
        unserved = [*chain.from_iterable(given_up), *self._queue.clear()]
        self._fail(unserved, ModelUnavailable(f"{self.name} is unloading", retry_after_s=1))
        if self._wake_timer is not None:
            self._wake_timer.cancel()

    def abandon(self, *, after_s: float = 0.0) -> None:
        """Fail all requests with `ModelUnavailable`, also those that run. After `after_s`, stuck threads are left."""
        detail = f"{self.name} is unloading, and the time to finish is over"
        self._fail(list(self._submitted), ModelUnavailable(detail, retry_after_s=1))
        for worker in self.workers:
            self._loop.call_later(after_s, worker.abandon)

    def _enqueue(self, job: Job) -> None:
        event = self.name, job.task.name, len(job.requests)
        if self._is_stopped or not self._queue.put(job):
            self._observer.refused(*event)
            if self._is_stopped:
                raise ModelUnavailable(f"{self.name} is unloading", retry_after_s=1)
            raise self._queue_full(f" and this request has {len(job.requests)}")
        self._observer.queued(*event)
        self._wake_worker()

    def _wake_worker(self) -> None:
        """Wake a worker if needed, and check again every `INACTIVE_AFTER_S` while jobs wait.

        So no job waits for longer than about twice `INACTIVE_AFTER_S` while a worker is idle.
        """
        if self._queue.wake_worker() and self._wake_timer is None and self._n_replicas > 1:
            self._wake_timer = self._loop.call_later(INACTIVE_AFTER_S, self._wake_again)

    def _wake_again(self) -> None:
        self._wake_timer = None
        self._wake_worker()

    def _handle_batch(self, report: BatchReport) -> None:
        """Give each job of a batch its results or its error."""
        results, errors = report.execution.results, report.execution.errors
        self._update_rate(len(results), report.finished_at - report.started_at)
        self.statistics.add_batch(len(results), report.started_at, report.finished_at)
        n_done = 0
        for part in report.batch:
            job, first, n_done = part.job, n_done, n_done + len(part)
            self._announce(job)
            job.batch_size = max(job.batch_size, len(results))
            job.finished_at = max(job.finished_at, report.finished_at)
            for index in range(first, n_done) if errors else ():
                if index in errors:
                    self._fail([job], explain(self.name, errors[index], job, part.start + index - first))
            part_results = results if len(part) == len(results) else results[first:n_done]
            if len(part) == len(job.requests):
                self._answer(job, part_results)
            else:
                job.results.update(zip(range(part.start, part.stop), part_results, strict=True))
                self._answer_if_complete(job)

    def _handle_steps(self, report: StepReport) -> None:
        """Record the progress of a generation, and answer the jobs that have ended."""
        for part in report.begun:
            self._announce(part.job)
            part.job.progress |= {index: [] for index in range(part.start, part.stop)}
        for (job, index), error in report.failed:
            self._fail([job], explain(self.name, error, job, index))
        for job in dict.fromkeys(job for (job, _), _ in report.progress):
            job.batch_size = max(job.batch_size, report.n_rows)
            job.finished_at = max(job.finished_at, report.finished_at)
        for (job, index), progress in report.progress:
            self._record(job, index, progress)
        for job, index in report.ended:
            job.results[index] = collect_result(job.progress[index])
            self._answer_if_complete(job)
        if report.error:
            log.error("a generation step failed", exc_info=report.error, extra={"model": self.name})
            detail = "the forward pass failed on this item, or on another of its batch while this one was streamed"
            self._fail(report.given_up, InferenceFailed(detail))
        self._step_seconds += report.seconds
        self.statistics.add_step(len(report.ended), report.finished_at)
        if report.ended:
            self._update_rate(len(report.ended), self._step_seconds)
            self._step_seconds = 0.0

    def _record(self, job: Job, index: int, progress: Progress) -> None:
        """Keep new progress and pass it to the caller, who may end the sequence. Ignore it if nobody waits for it."""
        if job.future.done() or (index, progress.sequence) in job.abandoned_sequences:
            return
        job.progress[index].append(progress)
        try:
            ends = job.on_progress is not None and job.on_progress(index, progress)
        except Exception as error:  # the fault of one caller must not affect the others
            log.exception("a progress callback failed", extra={"model": self.name})
            detail = "the generated text could not be passed on"
            self._fail([job], InferenceFailed(f"{detail}: {type(error).__name__}", [Fault(f"/inputs/{index}", detail)]))
            return
        if ends and progress.finish_reason is None:
            job.abandoned_sequences.add((index, progress.sequence))
            job.progress[index].append(Progress(progress.sequence, None, "stop"))

    def _announce(self, job: Job) -> None:
        """Tell the observer once that a job has started, unless its caller has left."""
        if not job.was_announced and not job.future.done():
            job.was_announced = True
            queue_ms = (job.started_at - job.enqueued_at) * 1000
            self._observer.started(self.name, job.task.name, len(job.requests), queue_ms)

    def _answer_if_complete(self, job: Job) -> None:
        if len(job.results) == len(job.requests):
            self._answer(job, [job.results[index] for index in range(len(job.requests))])

    @staticmethod
    def _answer(job: Job, results: Sequence[Any]) -> None:
        if not job.future.done():
            if job.trace is not None:
                times = job.enqueued_at, job.started_at, job.finished_at
                record_answer(job.trace, *times, by_steps=job.task.by_steps)
            job.future.set_result(
                Outcome(
                    results=results,
                    queue_ms=(job.started_at - job.enqueued_at) * 1000,
                    inference_ms=(job.finished_at - job.started_at) * 1000,
                    batch_size=job.batch_size,
                )
            )

    @staticmethod
    def _fail(jobs: Sequence[Job], error: Exception) -> None:
        for job in jobs:
            if not job.future.done():
                job.future.set_exception(error)

    def _update_rate(self, n_items: int, seconds: float) -> None:
        """Update the smoothed rate at which a worker serves items."""
        rate = n_items / max(seconds, 1e-6)
        self._items_per_s += (rate - self._items_per_s) * (_SMOOTHING if self._items_per_s else 1.0)

    def _queue_full(self, addition: str = "") -> QueueFull:
        """Return the error of a full queue. It suggests trying again once half of the backlog should be served."""
        waiting = f"{len(self._queue)} items are waiting for {self.name}{addition}"
        limit = f"the limit is {self._settings.max_queue_items}"
        if addition and self._settings.max_queue_items >= KEPT_FOR_SMALL_JOBS:
            limit += f", one in {KEPT_FOR_SMALL_JOBS} of which is kept for small requests"
        retry_after_s = min(max(1, math.ceil(self.backlog_s / 2)), MAX_RETRY_AFTER_S)
        return QueueFull(f"{waiting}; {limit}", retry_after_s=retry_after_s)
