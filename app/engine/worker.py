"""A thread that runs a model's forward passes."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import cast

import torch

from app.engine.execution import Execution, NotANumber, execute
from app.engine.policy import IDLE, Job, Room, Slice
from app.engine.queue import JobQueue
from models import kernels
from models.errors import InvalidItems, Problem
from models.family import Model
from models.layers.devices import in_turn
from models.layers.generation import Generation, Generator
from models.layers.parts import between_parts
from models.tasks import Task
from models.tasks.text import GenerateRequest, Progress

TELL_EVERY_S = 0.05
"""What nobody listens to is told the event loop this often, or when a text has ended: on a GPU a step takes half a
millisecond, and waking the loop after each, which takes the interpreter's lock away, as long again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A finished batch: what became of the requests of its slices, in order, and the times (`time.monotonic`)."""

    batch: list[Slice]
    execution: Execution
    started_at: float
    finished_at: float


Key = tuple[Job, int]
"""A job, and the number of a request of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What is new of the sequences in the making, since the last one.

    Which slices `began`, and when; which requests were `refused`, or failed, and why; what was `told` of which, and
    which have `ended`. `broke` is the error that ended all of them at once: those `given_up` get it, the others begin
    anew. `n_rows` sequences shared the step.
    """

    began: Sequence[Slice] = ()
    started_at: float = 0.0
    refused: Sequence[tuple[Key, Exception]] = ()
    told: Sequence[tuple[Key, Progress]] = ()
    ended: Sequence[Key] = ()
    broke: Exception | None = None
    given_up: Sequence[Job] = ()
    n_rows: int = 0
    seconds: float = 0.0


def _stand_back() -> None:
    """Let the scheduler treat this thread as one that computes for long: the event loop's goes first when it wakes."""
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_BATCH, os.sched_param(0))


@dataclass(frozen=True, slots=True)
class Lane:
    """What the workers of a model on a GPU share: a stream, so that they wait for no other model's, and turns.

    In streams of their own, or launching at the same time, their batches would end at the same time, and the GPU would
    be idle while both of them prepare the next.
    """

    stream: torch.cuda.Stream
    turn: threading.Lock = field(default_factory=threading.Lock)


def lane_of(model: Model) -> Lane | None:
    """None of models on a CPU."""
    weight = next(model.parameters(), None)
    if weight is None or not weight.is_cuda:
        return None
    return Lane(torch.cuda.Stream(weight.device))  # type: ignore[no-untyped-call]


def _is_nan(progress: Progress) -> bool:
    is_scored = progress.score is not None and math.isnan(progress.score)
    return is_scored or (progress.token is not None and math.isnan(progress.token.log_prob))


def _is_abandoned(key: Key, sequence: int | None) -> bool:
    job, index = key
    return job.is_abandoned or (sequence is not None and (index, sequence) in job.abandoned)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a worker is made of.

    `lane` is the model's, on a GPU. `tasks` are those that it proves itself by; another worker of the same model may
    have proved the rest. Batches run on `torch_threads`, the kernels of steps on `step_threads`: those of all workers,
    where one makes all steps.
    `budget` of a batch, in tokens or elements; `max_rows` made by steps at once; `n_remembered` tokens of prompts.
    """

    name: str
    model: Model
    lane: Lane | None
    tasks: Sequence[Task]
    queue: JobQueue
    torch_threads: int
    step_threads: int
    budget: int
    max_rows: int
    n_remembered: int
    probe_every_s: float


class Worker:
    """Takes batches from the plan's queue until it is closed. The four callbacks are called on the worker's thread.

    First, and again after each restart, each of the plan's tasks runs once on its example: `on_ready` means that real
    forward passes succeeded. So does the first task whenever there was nothing to do for `probe_every_s`, and when a
    whole batch has failed: a model that can do nothing any more ends the thread. `on_exit` is the last call, with the
    exception that ended the thread or None.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        on_ready: Callable[[], None],
        on_batch: Callable[[Delivery], None],
        on_step: Callable[[Step], None],
        on_exit: Callable[[BaseException | None], None],
    ) -> None:
        self._model, self._lane, self._tasks, self._queue = plan.model, plan.lane, plan.tasks, plan.queue
        self._budget, self._max_rows, self._n_remembered = plan.budget, plan.max_rows, plan.n_remembered
        self._probe_every_s = plan.probe_every_s
        self._torch_threads, self._step_threads = plan.torch_threads, plan.step_threads
        self._on_ready, self._on_batch, self._on_step, self._on_exit = on_ready, on_batch, on_step, on_exit
        self._running = self._generation()
        self._untold: list[tuple[Key, Progress]] = []
        self._untold_s, self._told_at = 0.0, 0.0
        self.hands = self._queue.hands()
        self.busy_since: float | None = None
        """When the forward pass of this moment began (`time.monotonic`)."""
        self.thread = threading.Thread(target=self._run, name=f"worker-{plan.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def _run(self) -> None:
        reason: BaseException | None = None
        _stand_back()
        torch.set_num_threads(self._torch_threads)
        try:
            on_stream = nullcontext() if self._lane is None else torch.cuda.stream(self._lane.stream)
            with torch.inference_mode(), on_stream:
                for task in self._tasks:
                    self._probe(task)
                self._on_ready()
                while self._turn():
                    pass
        except BaseException as error:
            reason = error
        finally:
            self._on_exit(reason)

    @property
    def n_rows(self) -> int:
        """Sequences that are being made by steps now."""
        return self._running.n_rows if self._running else 0

    def _generation(self) -> Generation[Key] | None:
        return self._model.generation(self._n_remembered) if isinstance(self._model, Generator) else None

    def _turn(self) -> bool:
        """Serve a batch, or let it join those made by steps; make a step. False once the queue is closed and empty."""
        room = Room(n_rows=self._max_rows - self.n_rows, n_running=self.n_rows) if self._running else IDLE
        batch = self._queue.take(self.hands, self._budget, room, self._probe_every_s)
        if batch is None:
            return False
        if batch and batch[0].job.task.by_steps:
            self._begin(batch)
        elif batch:
            self._serve(batch)
        elif room.is_idle:
            self._probe(self._tasks[0])
        if self._running and self.n_rows:
            self._step(self._running)
        return True

    def _probe(self, task: Task) -> None:
        """A real forward pass; raises what it raises."""
        with self._busy():
            execution = execute(task, self._model, [self._model.example(task)])
        if execution.errors:
            raise execution.errors[0]

    @contextmanager
    def _busy(self) -> Iterator[float]:
        """While the model computes; since when."""
        self.busy_since = started_at = time.monotonic()
        try:
            with in_turn(self._lane.turn if self._lane else None):
                yield started_at
        finally:
            self.busy_since = None

    def _begin(self, batch: list[Slice]) -> None:
        """Let the batch join. What the model refuses is told; what fails is tried again, alone."""
        running = cast("Generation[Key]", self._running)
        refused: list[tuple[Key, Exception]] = []
        if self._untold:
            self._tell(self.n_rows)  # of the time before; it is not the newcomers'
        self._queue.run(self.hands)
        try:
            with self._busy() as started_at:
                for part in batch:
                    for index, request in enumerate(part.requests, part.start):
                        try:
                            running.add([((part.job, index), cast("GenerateRequest", request))])
                        except InvalidItems as error:
                            refused.append(((part.job, index), error))
        except Exception as error:
            self._break_off(error)
            return
        self._on_step(Step(refused=refused, began=batch, started_at=started_at))

    def _step(self, running: Generation[Key]) -> None:
        try:
            with self._busy() as started_at, kernels.threads(self._step_threads):
                running.remove(_is_abandoned)
                n_rows = running.n_rows
                told = running.step() if running.n_rows else []
        except Exception as error:
            self._break_off(error)
            return
        heard = {job for (job, _), _ in told if job.listen is not None}
        for job in heard:
            job.heard = True
        broken = [(key, NotANumber("NaN")) for key, progress in told if _is_nan(progress)]
        ended, now = running.ended(), time.monotonic()
        self._untold += told
        self._untold_s += now - started_at
        if heard or broken or ended or now > self._told_at + TELL_EVERY_S:
            self._tell(n_rows, broken, ended)

    def _tell(self, n_rows: int, broken: Sequence[tuple[Key, Exception]] = (), ended: Sequence[Key] = ()) -> None:
        """What has not been told yet, and what became of it."""
        self._on_step(Step(refused=broken, told=self._untold, ended=ended, n_rows=n_rows, seconds=self._untold_s))
        self._untold, self._untold_s, self._told_at = [], 0.0, time.monotonic()

    def _break_off(self, error: Exception) -> None:
        """A step failed, and who is guilty is not known: everybody begins anew, alone."""
        if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
            self._max_rows = max(1, self.n_rows // 2)
        self._running = self._generation()
        self._untold, self._untold_s = [], 0.0
        self._on_step(Step(broke=error, given_up=self._queue.give_back(self.hands)))
        self._probe(self._tasks[0])

    def _go_on(self, batch: list[Slice]) -> None:
        """Between the parts of a long pass: it is not stuck, and ends where nobody waits for it."""
        self.busy_since = time.monotonic()
        if all(part.job.is_abandoned for part in batch):
            raise InvalidItems(Problem("nobody waits for it any more"))

    def _serve(self, batch: list[Slice]) -> None:
        requests = [request for part in batch for request in part.requests]
        with self._busy() as started_at, between_parts(lambda: self._go_on(batch)):
            execution = execute(batch[0].job.task, self._model, requests)
        if execution.out_of_memory:
            self._budget = max(1, sum(request.cost for request in requests) // 2)
        self._on_batch(Delivery(batch, execution, started_at, time.monotonic()))
        self._queue.done(self.hands)
        if sum(not isinstance(error, InvalidItems) for error in execution.errors.values()) == len(requests):
            self._probe(self._tasks[0])
