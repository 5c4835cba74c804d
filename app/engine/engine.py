"""One model: a queue, the workers that serve it, and every future resolved."""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

from app.engine.execution import NotANumber
from app.engine.policy import Job, Listener, Outcome
from app.engine.queue import LATE_S, JobQueue
from app.engine.supervisor import Health, Supervisor
from app.engine.worker import Delivery, Plan, Step, lane_of
from app.errors import Fault, InferenceFailed, ModelUnavailable, QueueFull
from app.settings import Settings
from models.errors import InvalidItems, Problem
from models.family import Model
from models.layers.generation import Generator, collected
from models.layers.text_model import TextModel
from models.tasks import Request, Task
from models.tasks.text import Progress

log = logging.getLogger(__name__)

MAX_RETRY_AFTER_S = 60
_SMOOTHING = 0.1


class Engine:
    """One queue, and a worker for each replica. All methods run on the event loop.

    Replicas on the same device may be one and the same model, for forward passes change nothing in it.
    """

    def __init__(
        self, name: str, replicas: Sequence[Model], tasks: Sequence[Task], settings: Settings, *, budget: int
    ) -> None:
        self._name, self._settings = name, settings
        self._loop = asyncio.get_running_loop()
        one_makes_steps = all(isinstance(model, Generator) and model.runs_on_kernels for model in replicas)
        lanes = {model: lane_of(model) for model in replicas}
        self._queue = JobQueue(
            settings.max_queue_items,
            settings.max_running_sequences,
            one_makes_steps=one_makes_steps,
            rests_spare=not any(lanes.values()) and not isinstance(replicas[0], TextModel),
        )
        self._is_stopped = False
        self._items_per_s = 0.0
        self._step_seconds = 0.0
        self._n_open = 0  # jobs that are not done
        self._wakes_soon = False
        self._looking: asyncio.TimerHandle | None = None
        self.workers = [
            Supervisor(
                Plan(
                    name=name,
                    model=model,
                    lane=lanes[model],
                    tasks=tasks if model not in replicas[:place] else tasks[:1],
                    queue=self._queue,
                    torch_threads=settings.torch_threads,
                    step_threads=settings.torch_threads * (len(replicas) if one_makes_steps else 1),
                    budget=budget,
                    max_rows=settings.max_running_sequences,
                    n_remembered=settings.max_prefix_tokens,
                    probe_every_s=settings.probe_every_ms / 1000,
                ),
                settings,
                on_batch=self._on_batch,
                on_step=self._on_step,
                on_guilty=self._on_guilty,
            )
            for place, model in enumerate(replicas)
        ]

    @property
    def health(self) -> Health:
        """The worst of the workers', their threads looked at this very moment."""
        if self._is_stopped:
            return Health.STOPPED
        return max((worker.health for worker in self.workers), key=list(Health).index)

    @property
    def n_queued(self) -> int:
        """Requests waiting."""
        return len(self._queue)

    @property
    def n_running(self) -> int:
        """Sequences that are being made by steps."""
        return sum(worker.n_running for worker in self.workers)

    @property
    def backlog_s(self) -> float:
        """About how long it will take to serve what is waiting: two seconds where nothing has been served yet."""
        rate = self._items_per_s * len(self.workers)
        return len(self._queue) / rate if rate else 2.0

    async def started(self) -> None:
        """Wait for the first real forward passes.

        Raises:
            InferenceFailed: they failed; nothing runs any more.
        """
        try:
            await asyncio.gather(*(worker.started() for worker in self.workers))
        except InferenceFailed:
            await self.stop()
            raise

    def require_room(self, n_before: int = 0) -> None:
        """Refuse before a request is decoded what would be refused after it, once `n_before` others are queued.

        Raises:
            QueueFull: not even one item more may wait.
        """
        if len(self._queue) + n_before >= self._settings.max_queue_items:
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
        if self._is_stopped:
            raise ModelUnavailable(f"{self._name} is unloading", retry_after_s=1)
        future: asyncio.Future[Outcome] = self._loop.create_future()
        job = Job(task=task, requests=requests, future=future, enqueued_at=time.monotonic(), listen=listen)
        if not self._queue.put(job):
            raise self._queue_full(f" and this request has {len(requests)}")
        self._n_open += 1
        if self._n_open == 1 or not self._queue.rests_spare:
            self._wake()
        elif not self._wakes_soon:
            self._wakes_soon = True
            self._loop.call_soon(self._wake)
        try:
            return await future
        finally:
            self._n_open -= 1
            job.is_abandoned = True
            self._queue.remove(job)

    async def stop(self) -> None:
        """Serve what is waiting, then end the threads. Whatever cannot be served is refused, never left waiting."""
        self._is_stopped = True
        for worker in self.workers:
            worker.retire()
        self._queue.close()
        given_up = await asyncio.gather(*(worker.ended() for worker in self.workers))
        unserved = [*chain.from_iterable(given_up), *self._queue.clear()]
        self._fail(unserved, ModelUnavailable(f"{self._name} is unloading", retry_after_s=1))
        if self._looking is not None:
            self._looking.cancel()

    def _wake(self) -> None:
        """A worker: at once for who is alone, and where several are to work beside each other; else once a turn.

        One that was woken at the first job of a turn would take it alone, and keep the loop from reading the others.
        """
        self._wakes_soon = False
        if self._queue.wake() and self._looking is None and len(self.workers) > 1:
            self._looking = self._loop.call_later(LATE_S, self._look)

    def _look(self) -> None:
        """Nothing waits for longer than twice `LATE_S` while a worker is idle."""
        self._looking = None
        self._wake()

    def _on_batch(self, delivery: Delivery) -> None:
        seconds = delivery.finished_at - delivery.started_at
        results, errors = delivery.execution.results, delivery.execution.errors
        self._measure(len(results), seconds)
        n_done = 0
        for part in delivery.batch:
            job = part.job
            if job.queue_ms is None:
                job.queue_ms = (delivery.started_at - job.enqueued_at) * 1000
            job.inference_ms += seconds * 1000
            job.batch_size = max(job.batch_size, len(results))
            its = range(n_done, n_done + len(part))
            n_done += len(part)
            for place in its if errors else ():
                if place in errors:
                    self._fail([job], self._explain(errors[place], part.start + place - its.start))
            own = results if len(its) == len(results) else results[its.start : its.stop]
            if len(its) == len(job.requests):
                self._answer(job, own)
            else:
                job.results.update(zip(range(part.start, part.stop), own, strict=True))
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

    def _finish(self, job: Job) -> None:
        """Answer a job all of whose requests are done, perhaps in several batches."""
        if len(job.results) == len(job.requests):
            self._answer(job, [job.results[i] for i in range(len(job.requests))])

    @staticmethod
    def _answer(job: Job, results: Sequence[Any]) -> None:
        if not job.future.done():
            job.future.set_result(
                Outcome(
                    results=results,
                    queue_ms=job.queue_ms or 0.0,
                    inference_ms=job.inference_ms,
                    batch_size=job.batch_size,
                )
            )

    def _on_guilty(self, jobs: Sequence[Job]) -> None:
        self._fail(jobs, InferenceFailed("the worker died twice on this request"))

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
        return min(max(1, math.ceil(self.backlog_s / 2)), MAX_RETRY_AFTER_S)
