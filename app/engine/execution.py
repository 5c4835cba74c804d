"""One batch through the model, with every failure pinned to the requests that cause it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.family import Model
from models.tasks import Request, Task


class NotANumber(ArithmeticError):
    """A result holds NaN, which no caller could use and JSON cannot tell."""


@dataclass(frozen=True, slots=True)
class Execution:
    """A result for each request, in order, but where `errors` has one; `out_of_memory` if the batch was too large."""

    results: Sequence[Any]
    errors: Mapping[int, Exception] = field(default_factory=dict)
    out_of_memory: bool = False


def execute(task: Task, model: Model, requests: Sequence[Request]) -> Execution:
    """Run the batch; where it fails, halve it until the guilty requests stand alone and the others succeed.

    k guilty of n cost about k log2(n) further passes. Only `Exception` is contained: a SystemExit ends the worker.
    """
    try:
        results = task.run(model, requests)
        if len(results) != len(requests):
            raise RuntimeError(f"{task.name} returned {len(results)} results for {len(requests)} requests")
        if not has_nan(results):  # looked at together, which is faster; almost always it is all that is looked at
            return Execution(results)
        return Execution(results, {place: NotANumber("NaN") for place, its in enumerate(results) if has_nan(its)})
    except Exception as error:
        if len(requests) == 1:
            return Execution([None], {0: error})
        out_of_memory = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    middle = len(requests) // 2
    halves = [execute(task, model, requests[:middle]), execute(task, model, requests[middle:])]
    errors = {**halves[0].errors, **{middle + place: error for place, error in halves[1].errors.items()}}
    return Execution([*halves[0].results, *halves[1].results], errors, out_of_memory)


def has_nan(value: object) -> bool:
    """Whether NaN is in a tensor or a float anywhere in a result, or in several."""
    floats: list[float] = []
    tensors: list[Tensor] = []
    _gather(value, floats, tensors)
    if any(map(math.isnan, floats)):
        return True
    if not tensors:
        return False
    together = _together(tensors)
    return math.isnan(together.sum()) and bool(together.isnan().any())  # infinities may sum up to NaN


def _together(tensors: list[Tensor]) -> Tensor:
    """All of them in one. In few operations: a busy event loop lets the worker wait before it goes on after each."""
    if len(tensors) == 1:
        return tensors[0]
    is_one_shape = len({tensor.shape for tensor in tensors}) == 1
    return torch.stack(tensors) if is_one_shape else torch.cat([tensor.flatten() for tensor in tensors])


def _gather(value: Any, floats: list[float], tensors: list[Tensor]) -> None:
    """All there are, but for tensors of integers."""
    if isinstance(value, tuple | list):
        kinds = set(map(type, value))
        names = _fields_of(*kinds) if len(kinds) == 1 else ()  # results of one kind: field by field, which is faster
        for one in ([getattr(its, name) for its in value] for name in names) if names else value:
            _gather(one, floats, tensors)
    elif isinstance(value, np.ndarray):
        _gather(torch.from_numpy(value), floats, tensors)
    elif isinstance(value, Tensor):
        if value.is_floating_point():
            tensors.append(value)
    elif isinstance(value, float):
        floats.append(value)
    else:
        for name in _fields_of(type(value)):  # type: ignore[arg-type] # types can be hashed
            _gather(getattr(value, name), floats, tensors)


@cache
def _fields_of(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()
