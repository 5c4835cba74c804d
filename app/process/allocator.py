"""Settings of the C library's allocator that suit tensors.

glibc gives every large tensor back to the operating system as soon as it is freed, and asks for new pages for the next
one: a page fault for every 4 KiB, at each layer of each batch. That doubles the time of a layer of a small model
(docs/decisions/0011).

Freed memory is kept in arenas. By default there are eight for each processor, and each comes to hold as much as its
threads ever needed at once. A model has two threads or more, but no more of them run at once than there are processors.
"""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Parameters of `mallopt`, from glibc's malloc.h."""
_MAX_KEPT_BYTES = 2**27
"""Maximum amount of freed memory that each arena keeps at its end, in bytes."""
_MAX_HEAP_BYTES = 2**23
"""Size in bytes up to which memory is taken from an arena. What is larger is mapped, and given back when it is freed.

Tensors of a forward pass are smaller, or take much longer to compute than to map: batches of convolutions of 11 MB are
as fast as with the largest size that glibc allows, 32 MiB. Large bodies and answers are larger."""


def keep_freed_memory() -> bool:
    """Keep up to 128 MiB of freed memory in each arena for later allocations, with one arena for each processor.

    Returns False, and changes nothing, where the C library is not glibc.
    """
    if sys.platform == "win32":  # where ctypes cannot open the C library without its name
        return False
    set_parameter = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_parameter is None:
        return False
    parameters = {
        _MMAP_THRESHOLD: _MAX_HEAP_BYTES,
        _TRIM_THRESHOLD: _MAX_KEPT_BYTES,
        _ARENA_MAX: os.cpu_count() or 1,
    }
    return all(set_parameter(*parameter) for parameter in parameters.items())
