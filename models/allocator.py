"""What the C library does with memory that torch has freed.

glibc gives every tensor of some size back to the system at once, and asks for new pages for the next one: at each layer
of each batch, a page fault for every 4 KiB. That doubles the time of a layer on small models (docs/decisions/0011).

What is kept lies in arenas, eight for each processor unless told otherwise, and each comes to keep as much as its
threads ever needed at once. There are two threads and more for each model, but no more of them run than processors.
"""

import ctypes
import os

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MOST_ARENAS = -1, -3, -8  # of malloc.h
_MOST_KEPT_BYTES, _MOST_FROM_HEAP_BYTES = 2**29, 2**25
"""The second is the most that glibc allows."""


def keep_freed_memory() -> bool:
    """From now on, keep up to 512 MiB that is freed for what is allocated next, an arena a processor.

    False where this is not glibc.
    """
    adjust = getattr(_libc(), "mallopt", None)
    if adjust is None:
        return False
    settings = {
        _MMAP_THRESHOLD: _MOST_FROM_HEAP_BYTES,
        _TRIM_THRESHOLD: _MOST_KEPT_BYTES,
        _MOST_ARENAS: os.cpu_count() or 1,
    }
    return all(adjust(*setting) for setting in settings.items())


def give_memory_back() -> None:
    """Return all that is free to the system, as far as the C library can, and to GPUs where any are used."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
