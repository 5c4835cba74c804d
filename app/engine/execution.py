"""One batch through the model, with every failure pinned to the requests that cause it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from models.family import Model
from models.tasks import Request, Task


@dataclass(frozen=True, slots=True)
class Execution:
    """A result or an error for each request, in order; `out_of_memory` if the batch as a whole was too large."""

    outcomes: list[Any]
    out_of_memory: bool = False


def execute(task: Task, model: Model, requests: Sequence[Request]) -> Execution:
    """Run the batch; where it fails, halve it until the guilty requests stand alone and the others succeed.

    k guilty of n cost about k log2(n) further passes. Only `Exception` is contained: a SystemExit ends the worker.
    """
    try:
        results = task.run(model, requests)
        if len(results) != len(requests):
            raise RuntimeError(f"{task.name} returned {len(results)} results for {len(requests)} requests")
        return Execution(list(results))
    except Exception as error:
        if len(requests) == 1:
            return Execution([error])
        out_of_memory = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    middle = len(requests) // 2
    halves = [execute(task, model, requests[:middle]), execute(task, model, requests[middle:])]
    return Execution(halves[0].outcomes + halves[1].outcomes, out_of_memory)
