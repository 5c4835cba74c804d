"""Settings of the interpreter and of the C library that suit a server of small models."""

import sys

from app.process.allocator import keep_freed_memory

SWITCH_INTERVAL_S = 0.0002
"""Time in seconds that a thread waits for the interpreter lock before it asks the holder to release it.

A worker thread releases the lock around every operation of torch, and waits this long to get it back while others are
busy. Python's default of 5 ms is longer than a whole forward pass of a small model. Much shorter intervals make the
threads that decode and render spend their time on handing over the lock."""


def tune_process() -> None:
    """Set the switch interval, and make the C library keep freed memory where it has a setting for that."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    keep_freed_memory()
