"""Keeps Python's garbage collector from traversing objects that live as long as the process, and frees memory."""

import asyncio
import ctypes
import gc
import logging
import sys
import time

import torch

from app.concurrency.request_memory import RequestMemory

log = logging.getLogger(__name__)

GARBAGE_THRESHOLD = 5_000
"""Number of new objects after which Python looks for garbage among them; its default is 700."""
SPIKE_BYTES = 2**26
"""How much less memory requests must hold, for a second, than they held before, for free memory to be given back."""
LOOK_EVERY_S = 1.0
"""Time in seconds between two looks at the memory that requests hold."""
MAX_COLLECTED_BYTES = 2**23
"""Most memory that requests hold while garbage is collected, which holds up everything else for as long as it takes to
traverse their objects: about 10 ms for as much."""
OLDEST_COLLECTED = 1
"""The oldest generation of objects that is collected before free memory is given back. To traverse those of all
generations takes about 2 ms while they are in the processor's caches, but up to 140 ms after some seconds of rest."""
GIVE_BACK_AFTER = (0, 3, 10, 20)
"""Numbers of looks after which free memory is given back, counted from the one that has noticed the end of a spike."""


def freeze_objects() -> None:
    """Collect all garbage, and exempt every remaining object from later collections; call this before models load.

    Torch and FastAPI create some 270,000 objects that live as long as the process. To traverse them takes about 170 ms,
    and would stop the server every few hundred requests. Only objects that are created later are still traversed: those
    of models, 20,000 for all checkpoints that come with the server, take about 4 ms.
    """
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


async def give_spikes_back(memory: RequestMemory) -> None:
    """Give free memory back whenever requests hold far less than they did, for as long as this task runs.

    It happens on a thread, once a second has passed in which they held little, and again a few times: what a request
    has claimed may be freed later than its claim ends, as at the end of work on a thread. The C library locks one of
    its arenas at a time for it, for about 0.1 ms for each megabyte that is free between what is in use; blocks of 8 MiB
    or more, and most of what is free at the end of an arena, have been given back before (`app.process.allocator`).
    """
    highest, n_looks = 0, 0
    looks: tuple[int, ...] = ()
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        n_looks += 1
        lately = memory.restart_peak()
        highest = max(highest, lately)
        if lately + SPIKE_BYTES <= highest:
            highest, looks = lately, tuple(n_looks + later for later in GIVE_BACK_AFTER)
        if n_looks in looks:
            started_at = time.perf_counter()
            if memory.n_bytes <= MAX_COLLECTED_BYTES:
                gc.collect(OLDEST_COLLECTED)
            await asyncio.to_thread(give_memory_back)
            log.debug("free memory was given back", extra={"ms": round((time.perf_counter() - started_at) * 1000, 1)})
