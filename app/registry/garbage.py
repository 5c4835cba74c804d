"""Keeps Python's garbage collector from walking objects that live as long as the process."""

import gc

GARBAGE_THRESHOLD = 5_000
"""New objects after which those that are left are walked; Python's default is 700."""


def collect_and_freeze() -> None:
    """Collect all garbage, and exempt every object that is left from further collections.

    Torch and FastAPI create some 200,000 objects that live as long as the process. Walking them takes about 150 ms,
    and would stop the server every few hundred requests. What remains to be walked are the objects of connections.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
