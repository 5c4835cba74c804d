"""Runs one batch through the model, and finds the requests that make it fail."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.errors import InvalidItems, Problem
from models.family import Model
from models.tasks import Request, Task

OUT_OF_MEMORY_ERRORS = (torch.OutOfMemoryError, MemoryError)
"""Errors that say that the memory of a device or of the process is exhausted."""

LARGE_NUMBER = 1000.0
"""Magnitude beyond which a number of a request, and not the model, is to blame for a result that is not finite."""


class Abandoned(InvalidItems):
    """Nobody waits for a batch any more, so that its forward pass ended between two of its parts."""


class NotANumber(ArithmeticError):
    """A result holds NaN or infinity, which are of no use to a caller and have no form in JSON."""


@dataclass(frozen=True, slots=True)
class Execution:
    """The outcome of one batch.

    Attributes:
        results: one for each request, in order; meaningless for those in `errors`.
        errors: by position in the batch, what each failed request raised.
        out_of_memory: the batch had to be split because it did not fit into memory.
    """

    results: Sequence[Any]
    errors: Mapping[int, Exception] = field(default_factory=dict)
    out_of_memory: bool = False


def execute(task: Task, model: Model, requests: Sequence[Request]) -> Execution:
    """Run a batch. If it fails, halve it until the failing requests run alone and all others succeed.

    For k failing requests of n that takes about k log2(n) further forward passes. Only `Exception` is caught; a
    SystemExit ends the worker.
    """
    try:
        results = model.run(task, requests)
        if len(results) != len(requests):
            raise RuntimeError(f"{task.name} returned {len(results)} results for {len(requests)} requests")
        if is_finite(results):  # all results in one check, which is faster and almost always enough
            return Execution(results)
        failed = [i for i, result in enumerate(results) if not is_finite(result)]
        errors: dict[int, Exception] = {}
        for i in failed:
            errors[i] = too_large([requests[i]]) or NotANumber("NaN or infinity")
        return Execution(results, errors)
    except Exception as error:
        if len(requests) == 1 or isinstance(error, Abandoned):
            return Execution([None] * len(requests), dict.fromkeys(range(len(requests)), error))
        out_of_memory = isinstance(error, OUT_OF_MEMORY_ERRORS)
    middle = len(requests) // 2
    first, second = execute(task, model, requests[:middle]), execute(task, model, requests[middle:])
    errors = {**first.errors, **{middle + index: error for index, error in second.errors.items()}}
    return Execution([*first.results, *second.results], errors, out_of_memory)


def is_finite(value: object) -> bool:
    """Return whether all floats, arrays and tensors of a result, or of a sequence of results, are finite."""
    floats: list[float] = []
    tensors: list[Tensor] = []
    _collect(value, floats, tensors)
    if not all(map(math.isfinite, floats)):
        return False
    if not tensors:
        return True
    joined = _join(tensors)
    return math.isfinite(joined.sum()) or bool(joined.isfinite().all())  # a sum of finite numbers may overflow


def too_large(requests: Sequence[Request]) -> InvalidItems | None:
    """Return the refusal of requests whose own numbers are so large that a result may overflow; None if none is."""
    floats: list[float] = []
    tensors: list[Tensor] = []
    _collect(list(requests), floats, tensors)
    magnitudes = [*map(abs, floats), *(tensor.nan_to_num(nan=0.0).abs().max().item() for tensor in tensors)]
    largest = max(magnitudes, default=0.0)
    if largest <= LARGE_NUMBER:
        return None
    return InvalidItems(Problem(f"numbers up to {largest:g}, after normalisation, are too large: the result overflows"))


def _join(tensors: list[Tensor]) -> Tensor:
    """Join tensors in one operation, because the event loop may take the interpreter lock after each operation."""
    if len(tensors) == 1:
        return tensors[0]
    have_same_shape = len({tensor.shape for tensor in tensors}) == 1
    return torch.stack(tensors) if have_same_shape else torch.cat([tensor.flatten() for tensor in tensors])


def _collect(value: Any, floats: list[float], tensors: list[Tensor]) -> None:
    """Append the floats and floating-point tensors in a value, however deep they are nested, to the two lists."""
    if isinstance(value, tuple | list):
        kinds = set(map(type, value))
        names = _field_names(*kinds) if len(kinds) == 1 else ()
        # Results of one type are collected field by field, which takes fewer calls than result by result.
        for member in ([getattr(result, name) for result in value] for name in names) if names else value:
            _collect(member, floats, tensors)
    elif isinstance(value, np.ndarray):
        _collect(torch.from_numpy(value), floats, tensors)
    elif isinstance(value, Tensor):
        if value.is_floating_point():
            tensors.append(value)
    elif isinstance(value, float):
        floats.append(value)
    else:
        for name in _field_names(type(value)):  # type: ignore[arg-type] # types can be hashed
            _collect(getattr(value, name), floats, tensors)


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()
