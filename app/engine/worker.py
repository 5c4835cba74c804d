"""A thread that runs a model's forward passes."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import cast

import torch

from app.engine.execution import OUT_OF_MEMORY_ERRORS, Abandoned, Execution, NotANumber, execute
from app.engine.job import Job, Slice
from app.engine.policy import NO_STEPS, StepCapacity
from app.engine.token_times import TokenTimes
from app.engine.trace import TracedBatch, layers_recorded_for, record_batch
from app.engine.worker_config import WorkerConfig
from models.errors import InvalidItems, Problem
from models.generation.generator import Generator
from models.generation.running_batch import RunningBatch
from models.ops.cooperation import cooperate, launch_lock_released
from models.tasks import Task
from models.tasks.generation import GenerateRequest, Progress

REPORT_EVERY_S = 0.05
"""Longest time in seconds for which progress is held back while no caller streams it and no request ends.

On a GPU, a step takes half a millisecond. Waking the event loop after each step, which takes the interpreter lock from
the worker, would take as long again."""

RequestKey = tuple[Job, int]
"""A job and the index of one of its requests."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """A batch that was computed: its slices, their results in order, and the times (`time.monotonic`)."""

    batch: list[Slice]
    execution: Execution
    started_at: float
    finished_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """What happened to the running sequences of a generation since the previous report.

    Attributes:
        begun: slices that joined; a slice that begins again starts from nothing.
        failed: requests that the model refused or could not compute, with the reason.
        progress: new tokens, in order.
        ended: requests all of whose sequences have ended.
        error: an error that ended all running sequences at once.
        given_up: jobs that fail because of `error`; the others begin again.
        n_rows: most sequences that shared a step.
        seconds: time spent computing.
        finished_at: when the last step ended (`time.monotonic`).
    """

    begun: Sequence[Slice] = ()
    failed: Sequence[tuple[RequestKey, Exception]] = ()
    progress: Sequence[tuple[RequestKey, Progress]] = ()
    ended: Sequence[RequestKey] = ()
    error: Exception | None = None
    given_up: Sequence[Job] = ()
    n_rows: int = 0
    seconds: float = 0.0
    finished_at: float = 0.0


def _is_nan(progress: Progress) -> bool:
    is_score_nan = progress.score is not None and math.isnan(progress.score)
    return is_score_nan or (progress.token is not None and math.isnan(progress.token.log_prob))


def _is_abandoned(key: RequestKey, sequence: int | None) -> bool:
    job, index = key
    return job.is_abandoned or (sequence is not None and (index, sequence) in job.abandoned_sequences)


class Worker:
    """Takes batches from a queue, and runs them, until the queue is closed. The callbacks are called on its thread.

    When the thread starts, each task of the config runs once on its example; `on_ready` means that these forward
    passes succeeded. The first task runs again whenever there was nothing to do for `probe_every_s`, and after a batch
    that failed as a whole: a model that cannot compute any more ends the thread. `on_exit` is the last call, with the
    exception that ended the thread, or None.
    """

    def __init__(
        self,
        config: WorkerConfig,
        *,
        on_ready: Callable[[], None],
        on_batch: Callable[[BatchReport], None],
        on_steps: Callable[[StepReport], None],
        on_exit: Callable[[BaseException | None], None],
    ) -> None:
        self._config, self._model, self._queue = config, config.model, config.queue
        self._budget, self._max_rows = config.budget, config.max_rows  # smaller after running out of memory
        self._on_ready, self._on_batch, self._on_steps, self._on_exit = on_ready, on_batch, on_steps, on_exit
        self._generation = self._new_generation()
        self._step_task = config.tasks[0]
        self._held_back: list[tuple[RequestKey, Progress]] = []
        self._held_back_rows, self._held_back_s = 0, 0.0
        self._reported_at = 0.0
        self._token_times = TokenTimes()
        self.slot = config.queue.add_worker(is_for_small_jobs=config.is_for_small_jobs)
        self.busy_since: float | None = None
        """When the forward pass that is running began (`time.monotonic`)."""
        self.thread = threading.Thread(target=self._run, name=f"worker-{config.name}", daemon=True)

    @property
    def n_rows(self) -> int:
        """Sequences that are being generated."""
        return self._generation.n_rows if self._generation else 0

    def let_go(self) -> None:
        """Drop the model, once the thread has ended."""
        del self._config, self._model
        self._generation = None

    def _run(self) -> None:
        reason: BaseException | None = None
        torch.set_num_threads(self._config.torch_threads)
        gpu_stream = self._config.gpu_stream
        try:
            with torch.inference_mode(), torch.cuda.stream(gpu_stream.stream) if gpu_stream else nullcontext():
                for task in self._config.tasks:
                    self._probe(task)
                self._on_ready()
                while self._serve():
                    pass
        except BaseException as error:
            reason = error
        finally:
            self._on_exit(reason)

    def _serve(self) -> bool:
        """Run a batch or let it join the generation, then make one step. Return False if no work will come any more."""
        capacity = NO_STEPS
        if self._generation:
            capacity = StepCapacity(n_free=self._max_rows - self.n_rows, n_running=self.n_rows)
        batch = self._queue.take(self.slot, self._budget, capacity, self._config.probe_every_s)
        if batch is None:
            return False
        if batch and batch[0].job.task.by_steps:
            self._join(batch)
        elif batch:
            self._run_batch(batch)
        elif capacity.n_running == 0:
            self._probe(self._config.tasks[0])
        if self._generation and self.n_rows:
            self._run_step(self._generation)
        return True

    def _probe(self, task: Task) -> None:
        """Run a task on its example; raises what the forward pass raises."""
        with self._computing():
            execution = execute(task, self._model, [self._model.example(task)])
        if execution.errors:
            raise execution.errors[0]

    @contextmanager
    def _computing(
        self, *, n_threads: int | None = None, between_parts: Callable[[], None] | None = None
    ) -> Iterator[float]:
        """Take a turn to compute, and mark the worker as busy. Yields the time (`time.monotonic`)."""
        launch_lock = self._config.launch_lock
        try:
            with cooperate(n_threads=n_threads, launch_lock=launch_lock, between_parts=between_parts):
                self.busy_since = started_at = time.monotonic()
                yield started_at
        finally:
            self.busy_since = None

    @contextmanager
    def _observed(self, task: Task, n_items: int, cost: int) -> Iterator[None]:
        observer, started_at = self._config.observer, time.monotonic()
        observer.batch_started(self._config.name, task.name, n_items, cost)
        try:
            yield
        finally:
            observer.batch_finished(self._config.name, task.name, n_items, cost, time.monotonic() - started_at)

    def _observe_dispatch(self, task: Task, batch: Sequence[Slice]) -> int:
        """Tell the observer of a batch that was taken, and return its cost."""
        costs = [cost for part in batch for cost in part.job.costs[part.start : part.stop]]
        counts = len(costs), sum(costs), max(costs) * len(costs) - sum(costs)
        self._config.observer.dispatched(self._config.name, task.name, *counts, self.slot.reason)
        return counts[1]

    def _run_batch(self, batch: list[Slice]) -> None:
        task = batch[0].job.task
        requests = [request for part in batch for request in part.requests]
        self._queue.give_way(self.slot)
        cost = self._observe_dispatch(task, batch)
        traces = [part.job.trace for part in batch if part.job.trace is not None]
        with (
            layers_recorded_for(traces) as layers,
            self._computing(between_parts=lambda: self._check_between_parts(batch)) as started_at,
            self._observed(task, len(requests), cost),
        ):
            execution = execute(task, self._model, requests)
        if execution.out_of_memory:
            self._budget = max(1, cost // 2)
        finished_at = time.monotonic()
        if traces:
            record_batch(traces, TracedBatch(len(requests), cost, self.slot.reason, started_at, finished_at, layers))
        self._on_batch(BatchReport(batch, execution, started_at, finished_at))
        self._queue.finish_batch(self.slot)
        if sum(not isinstance(error, InvalidItems) for error in execution.errors.values()) == len(requests):
            self._probe(self._config.tasks[0])

    def _check_between_parts(self, batch: list[Slice]) -> None:
        """Between the parts of a long forward pass: let others compute, small jobs first, and stop if nobody waits.

        The time shows that the worker is not stuck.
        """
        with launch_lock_released():
            self._queue.give_way(self.slot)
        self.busy_since = time.monotonic()
        if all(part.job.is_abandoned for part in batch):
            raise Abandoned(Problem("the caller no longer waits for this item"))

    def _new_generation(self) -> RunningBatch[RequestKey] | None:
        model = self._model
        return RunningBatch(model, self._config.max_prefix_tokens) if isinstance(model, Generator) else None

    def _join(self, batch: list[Slice]) -> None:
        """Let a batch join the running sequences. Requests that the model refuses are reported."""
        generation = cast("RunningBatch[RequestKey]", self._generation)
        refused: list[tuple[RequestKey, Exception]] = []
        if self._held_back:
            self._report()  # the new requests have no part in the progress so far
        self._step_task = batch[0].job.task
        self._observe_dispatch(self._step_task, batch)
        self._token_times.joined(part.job for part in batch)
        self._queue.start_steps(self.slot)
        try:
            with self._computing():
                for part in batch:
                    for index, request in enumerate(part.requests, part.start):
                        try:
                            generation.add([((part.job, index), cast("GenerateRequest", request))])
                        except InvalidItems as error:
                            refused.append(((part.job, index), error))
        except Exception as error:
            self._abort_generation(error)
        else:
            self._on_steps(StepReport(failed=refused, begun=batch))

    def _run_step(self, generation: RunningBatch[RequestKey]) -> None:
        """Generate the next token of each running sequence. Report it at once if it is streamed or ends a request."""
        progress: list[tuple[RequestKey, Progress]] = []
        self._queue.give_way(self.slot)
        n_threads = self._config.step_threads
        if self._queue.is_shared:
            n_threads = max(self._config.torch_threads, n_threads - self._config.torch_threads)
        try:
            with self._computing(n_threads=n_threads) as started_at:
                generation.remove(_is_abandoned)
                n_rows = generation.n_rows
                if n_rows:
                    with self._observed(self._step_task, n_rows, n_rows):
                        progress = generation.step()
        except Exception as error:
            self._abort_generation(error)
            return
        streamed = {job for (job, _), _ in progress if job.on_progress is not None}
        for job in streamed:
            job.was_streamed = True
        failed = [(key, NotANumber("NaN")) for key, new in progress if _is_nan(new)]
        ended, now = generation.take_ended(), time.monotonic()
        self._observe_tokens(progress)
        self._held_back += progress
        self._held_back_s += now - started_at
        self._held_back_rows = max(self._held_back_rows, n_rows)
        if streamed or failed or ended or now > self._reported_at + REPORT_EVERY_S:
            self._report(failed, ended)

    def _observe_tokens(self, progress: Sequence[tuple[RequestKey, Progress]]) -> None:
        """Tell the observer of the tokens of a step."""
        times = self._token_times.after_step((job for (job, _), _ in progress), self.n_rows)
        n_tokens = sum(new.token is not None for _, new in progress)
        if n_tokens:
            self._config.observer.tokens_generated(self._config.name, self._step_task.name, n_tokens, *times)

    def _report(self, failed: Sequence[tuple[RequestKey, Exception]] = (), ended: Sequence[RequestKey] = ()) -> None:
        """Report the progress that was held back, and the requests that failed or ended."""
        self._reported_at = time.monotonic()
        report = StepReport(
            failed=failed,
            progress=self._held_back,
            ended=ended,
            n_rows=self._held_back_rows,
            seconds=self._held_back_s,
            finished_at=self._reported_at,
        )
        self._held_back, self._held_back_rows, self._held_back_s = [], 0, 0.0
        self._on_steps(report)

    def _abort_generation(self, error: Exception) -> None:
        """End all running sequences after a failed step. Each runs again alone, because any of them may have failed."""
        if isinstance(error, OUT_OF_MEMORY_ERRORS):
            self._max_rows = max(1, self.n_rows // 2)
        self._generation = self._new_generation()
        self._token_times = TokenTimes()
        self._held_back, self._held_back_rows, self._held_back_s = [], 0, 0.0
        self._on_steps(StepReport(error=error, given_up=self._queue.give_back(self.slot)))
        self._probe(self._config.tasks[0])
