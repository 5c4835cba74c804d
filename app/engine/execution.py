"""One batch through the model, with every failure pinned to the requests that cause it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from models.family import Model
from models.tasks import Request, Task


class NotANumber(ArithmeticError):
    """A result holds NaN, which no caller could use and JSON cannot tell."""


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
        return Execution([NotANumber("NaN") if has_nan(result) else result for result in results])
    except Exception as error:
        if len(requests) == 1:
            return Execution([error])
        out_of_memory = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    middle = len(requests) // 2
    halves = [execute(task, model, requests[:middle]), execute(task, model, requests[middle:])]
    return Execution(halves[0].outcomes + halves[1].outcomes, out_of_memory)


def has_nan(value: object) -> bool:
    """Whether NaN is in a tensor or a float anywhere in a result."""
    if isinstance(value, Tensor):
        return value.is_floating_point() and bool(value.isnan().any())
    if isinstance(value, float):
        return value != value
    if isinstance(value, tuple | list):
        return any(map(has_nan, value))
    return is_dataclass(value) and any(has_nan(getattr(value, field.name)) for field in fields(value))
