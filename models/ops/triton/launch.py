"""Compiles and starts kernels, and says whether they work here."""

from collections.abc import Hashable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

HAS_TRITON = find_spec("triton") is not None
"""Triton is installed. Torch for CPUs alone does not bring it along."""

if HAS_TRITON:
    from models.ops.triton import kernels

MAX_WIDTH = 8192
"""Maximum width of rows, each of which a kernel computes in one piece."""

LOGITS_AT_ONCE = 4096
"""Number of logits of a row that a kernel reads at once."""

_compiled: dict[Hashable, Any] = {}
"""Compiled kernels, by all that they were compiled for."""


@cache
def unavailable_reason() -> str | None:
    """Return why there are no kernels for GPUs here; None where there are. The smallest is compiled and run."""
    if not HAS_TRITON:
        return "Triton is not installed"
    try:
        logits, out = torch.zeros((1, 1), device="cuda"), torch.zeros((2, 1), dtype=torch.float64, device="cuda")
        kernels.top_tokens[(1,)](logits, out, 1, 1, 1, LOGITS_AT_ONCE)
    except Exception as error:
        return f"Triton does not work here, which takes a C compiler and Python's headers: {error}"
    return None


def supports_tensor(x: Tensor) -> bool:
    """Return whether there are kernels for a tensor, through which no gradient is needed."""
    needs_gradient = torch.is_grad_enabled() and x.requires_grad
    return x.is_cuda and not needs_gradient and unavailable_reason() is None


def supports_rows(x: Tensor) -> bool:
    """Return whether there are kernels for the rows of `[N, D]`, each of which they compute in one piece."""
    return supports_tensor(x) and x.shape[1] <= MAX_WIDTH


def launch(
    name: str, grid: tuple[int, int, int], arguments: Sequence[Any], constants: tuple[Any, ...], n_warps: int = 4
) -> None:
    """Start a kernel, the first argument of which is a tensor.

    It does what `kernel[grid](*arguments, *constants)` does, which takes several times as long to find what it has
    compiled.
    """
    key = (name, arguments[0].get_device(), constants, *map(_specialisation, arguments))
    with torch.cuda.device(arguments[0].device):  # where Triton compiles and launches
        if key not in _compiled:
            kernel = getattr(kernels, name)
            _compiled[key] = kernel.warmup(*arguments, *constants, grid=grid, num_warps=n_warps)
        _compiled[key][grid](*arguments, *constants)


def _specialisation(value: Tensor | float) -> Hashable:
    """Return what Triton compiles a kernel for: dtypes, whether numbers are multiples of 16, one, or of 32 bits."""
    if isinstance(value, Tensor):
        return value.dtype, value.data_ptr() % 16 == 0
    return (value % 16 == 0, value == 1, value < 2**31) if isinstance(value, int) else float


def next_power_of_2(n: int) -> int:
    """Return the smallest power of two that is not less than n."""
    return 1 << (n - 1).bit_length()
