"""Decides which waiting requests form the next batch. Pure functions: no clock, no locks, no torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from app.engine.job import Slice
from models.tasks import Request, Task
from models.tasks.generation import GenerateRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCapacity:
    """How many rows of a generation batch a worker may add, and how many are running.

    Attributes:
        n_free: rows that may join.
        n_running: rows that this worker is generating.
        n_elsewhere: rows that the other workers of the model are generating.
    """

    n_free: int
    n_running: int = 0
    n_elsewhere: int = 0


class DispatchReason(StrEnum):
    """Why a batch was dispatched with its requests and no others.

    Attributes:
        WORKER_IDLE: a worker without work was woken, and took all that waited for the task.
        WORKER_FREE: a worker had finished its batch or its step, and took all that waited for the task.
        BUDGET_FULL: the next request would have exceeded the budget of the batch, or is part of a large job.
        ROWS_FULL: the next request would have exceeded the rows that may be generated at once.
        SUSPECT: a request that was part of a batch which killed a worker runs alone.
    """

    WORKER_IDLE = "worker-idle"
    WORKER_FREE = "worker-free"
    BUDGET_FULL = "budget-full"
    ROWS_FULL = "rows-full"
    SUSPECT = "suspect"


NO_STEPS = StepCapacity(n_free=0)
"""Capacity of a worker whose model does not generate."""


def next_batch(waiting: Iterable[Slice], budget: int, capacity: StepCapacity = NO_STEPS) -> list[Slice]:
    """Choose the next batch from the waiting slices, which are given in the order in which they are to be served.

    The first job sets the task; it and later jobs of that task fill the batch until their cost reaches `budget`. A
    request that alone exceeds the budget runs alone. A part of a large job is not added to small jobs, whose answers
    would wait for it. A suspect job runs alone, one request at a time: if it kills the worker again, no other job is
    lost.

    No job starves, because the first is always part of the batch. The exception is a generation job for which there
    is no free row: it waits until running sequences end. Meanwhile no other generation job takes rows before it.
    """
    batch: list[Slice] = []
    cost = n_rows = 0
    rows_are_free = True
    for candidate in waiting:
        job = candidate.job
        if job.task.by_steps and not (rows_are_free and _has_capacity(candidate, n_rows, capacity)):
            rows_are_free = rows_are_free and job.is_suspect
            continue
        if not batch and job.is_suspect:
            return [Slice(job, candidate.start, candidate.start + 1)]
        first = batch[0].job if batch else job
        if job.is_suspect or job.task is not first.task or (job.is_large and not first.is_large):
            continue
        if not job.task.by_steps and len(candidate) == len(job.requests) and cost + job.cost <= budget:
            batch.append(candidate)
            cost += job.cost
            continue
        stop = candidate.start
        while stop < candidate.stop:
            more_cost, more_rows = job.costs[stop], n_rows_of(job.task, job.requests[stop])
            is_first = not batch and stop == candidate.start
            if not is_first and (cost + more_cost > budget or n_rows + more_rows > capacity.n_free):
                break
            cost, n_rows, stop = cost + more_cost, n_rows + more_rows, stop + 1
        if stop > candidate.start:
            batch.append(Slice(job, candidate.start, stop))
        if stop < candidate.stop:
            break
    return batch


def dispatch_reason(
    batch: Sequence[Slice], left: Iterable[Slice], capacity: StepCapacity, *, was_idle: bool
) -> DispatchReason:
    """Return why `next_batch` ended a batch where it did; `left` are the slices that still wait, in their order.

    `was_idle` means that the worker has slept until it was woken for this batch.
    """
    job = batch[0].job
    if job.is_suspect:
        return DispatchReason.SUSPECT
    following = next((part for part in left if part.job.task is job.task and not part.job.is_suspect), None)
    if following is None:
        return DispatchReason.WORKER_IDLE if was_idle else DispatchReason.WORKER_FREE
    if not job.task.by_steps:
        return DispatchReason.BUDGET_FULL
    requests = [*(request for part in batch for request in part.requests), following.requests[0]]
    n_rows = sum(n_rows_of(job.task, request) for request in requests)
    return DispatchReason.ROWS_FULL if n_rows > capacity.n_free else DispatchReason.BUDGET_FULL


def n_rows_of(task: Task, request: Request) -> int:
    """Count the rows that a request takes in a generation batch; 0 for every other task."""
    return cast("GenerateRequest", request).n_rows if task.by_steps else 0


def work_of(part: Slice) -> int:
    """Return the work of dispatched requests: their cost and, for a generation, the tokens of all its rows."""
    cost = part.job.cost if len(part) == len(part.job.requests) else sum(part.job.costs[part.start : part.stop])
    if not part.job.task.by_steps:
        return cost
    return cost + sum(cast("GenerateRequest", request).n_generated for request in part.requests)


def _has_capacity(candidate: Slice, n_rows: int, capacity: StepCapacity) -> bool:
    """Return whether the first request of a generation slice fits in after the `n_rows` rows chosen for the batch."""
    if candidate.job.is_suspect:
        return capacity.n_running == 0
    if capacity.n_running == capacity.n_elsewhere == n_rows == 0:
        return True
    return n_rows + n_rows_of(candidate.job.task, candidate.job.requests[candidate.start]) <= capacity.n_free
