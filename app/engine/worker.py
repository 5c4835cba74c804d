"""The thread that owns a model's forward pass."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from app.engine.execution import execute
from app.engine.policy import Slice
from app.engine.queue import JobQueue
from models.family import Model
from models.tasks import Task


@dataclass(frozen=True, slots=True)
class Delivery:
    """A finished batch: an outcome for each request of its slices, in order, and the times (`time.monotonic`)."""

    batch: list[Slice]
    outcomes: list[Any]
    started_at: float
    finished_at: float


class Worker:
    """Takes batches from `queue` until it is closed. The three callbacks are called on the worker's thread.

    First, and again after each restart, every task runs once on its example: `on_ready` means that real forward passes
    succeeded. `on_exit` is always the last call, with the exception that ended the thread or None.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        tasks: Sequence[Task],
        queue: JobQueue,
        *,
        budget: int,
        torch_threads: int,
        on_ready: Callable[[], None],
        on_batch: Callable[[Delivery], None],
        on_exit: Callable[[BaseException | None], None],
    ) -> None:
        self._model, self._tasks, self._queue = model, tasks, queue
        self._budget, self._torch_threads = budget, torch_threads
        self._on_ready, self._on_batch, self._on_exit = on_ready, on_batch, on_exit
        self.thread = threading.Thread(target=self._run, name=f"worker-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def _run(self) -> None:
        reason: BaseException | None = None
        try:
            torch.set_num_threads(self._torch_threads)
            with torch.inference_mode():
                for task in self._tasks:
                    task.run(self._model, [self._model.example(task)])
                self._on_ready()
                while (batch := self._queue.take(self._budget)) is not None:
                    self._serve(batch)
        except BaseException as error:
            reason = error
        finally:
            self._on_exit(reason)

    def _serve(self, batch: list[Slice]) -> None:
        started_at = time.monotonic()
        requests = [request for part in batch for request in part.requests]
        execution = execute(batch[0].job.task, self._model, requests)
        if execution.out_of_memory:
            self._budget = max(1, sum(request.cost for request in requests) // 2)
        self._on_batch(Delivery(batch, execution.outcomes, started_at, time.monotonic()))
        self._queue.done()
