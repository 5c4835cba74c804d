"""Loads the compiled kernels, and says what they support."""

import ctypes
import os
from ctypes import c_double, c_float, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.ops.cooperation import current

LIBRARY = Path(__file__).with_name("kernels.so")
"""The compiled kernels."""

_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "linear": (c_void_p, c_int64, c_void_p, c_void_p, c_int64),
    "add_norm": (*[c_void_p] * 4, c_int64, c_int64, c_double, c_void_p, c_int64),
    "attend": (*[c_void_p] * 3, *[c_int64] * 4, c_void_p, c_float, c_void_p, c_int64),
    "blocks": (c_void_p, c_int64, c_void_p, c_int64, c_void_p, c_void_p, c_int64),
    "likeliest": (c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_int64),
    "embed": (*[c_void_p] * 4, c_int64, c_void_p, c_int64),
    "pool": (c_void_p, c_int64, c_void_p, c_void_p, *[c_int64] * 4, c_void_p, c_int64),
}
"""The types of the arguments of each function of `kernels.cpp`."""

_RESULTS = {"embed": c_int64}
"""The types of what functions return; the others return nothing."""


@cache
def unavailable_reason() -> str | None:
    """Return why there are no kernels here; None where there are."""
    if not torch.cpu._is_avx512_supported():
        return "the processor has no AVX-512"
    if not LIBRARY.exists():
        return "they were not compiled when this was installed; that takes Linux and g++"
    try:
        function("linear", torch.float32)
    except OSError as error:
        return str(error)
    return None


@cache
def function(name: str, dtype: torch.dtype) -> Any:
    """Return a function of `kernels.cpp` for values of a dtype."""
    library = ctypes.CDLL(str(LIBRARY), mode=os.RTLD_NOW)  # the system loads it once
    function = getattr(library, f"{name}_{str(dtype).removeprefix('torch.')}")
    function.argtypes, function.restype = _ARGUMENTS[name], _RESULTS.get(name)
    return function


def n_threads() -> int:
    """Return the number of threads that a kernel is to run on. Helping threads are shared by all callers, in turn."""
    return current.cooperation.n_threads or torch.get_num_threads()


def supports_dtype(dtype: torch.dtype, device: torch.device) -> bool:
    """Return whether there are kernels for values of a dtype on a device."""
    if device.type != "cpu" or unavailable_reason() is not None:
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.cpu._is_avx512_bf16_supported())


def supports_tensor(x: Tensor) -> bool:
    """Return whether there are kernels for a tensor, through which no gradient is needed."""
    needs_gradient = torch.is_grad_enabled() and x.requires_grad
    return not needs_gradient and supports_dtype(x.dtype, x.device)


def is_fastest_for(weights: torch.dtype, inputs: torch.dtype) -> bool:
    """Return whether `PanelWeights` of one dtype are the fastest way to multiply inputs of another.

    Where the processor has tiles (AMX), torch multiplies bfloat16 faster. It does not multiply int8 faster.
    """
    if not supports_dtype(inputs, torch.device("cpu")):
        return False
    if weights == torch.int8:
        return torch.cpu._is_vnni_supported()
    has_faster_tiles = weights == torch.bfloat16 and torch.cpu._is_amx_tile_supported()
    return weights == inputs and not has_faster_tiles
