"""Keeps Python's garbage collector from traversing objects that live as long as the process, and frees memory."""

import ctypes
import gc
import sys

import torch

GARBAGE_THRESHOLD = 5_000
"""Number of new objects after which Python looks for garbage among them; its default is 700."""


def collect_and_freeze() -> None:
    """Collect all garbage, and exempt every remaining object from later collections; call this once models have loaded.

    Torch and FastAPI create some 200,000 objects that live as long as the process. To traverse them takes about 150 ms,
    and would stop the server every few hundred requests. Only objects that are created later, for
    connections and requests, are still traversed.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


def give_memory_back() -> None:
    """Return free memory to the operating system, as far as the C library can, and free memory of GPUs to their driver.

    Only memory of GPUs that this process has used is returned.
    """
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    if sys.platform == "win32":  # where ctypes cannot open the C library without its name
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
