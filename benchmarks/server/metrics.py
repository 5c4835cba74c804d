"""Read the metrics of a server that benchmarks judge."""

import re

STALL = re.compile(r"^manifold_event_loop_\w*stall\w*_max\S*\s+(\S+)$", re.MULTILINE)
UNFINISHED = re.compile(r"^manifold_(?:queue_items|running_sequences)\{[^}]*\}\s+(\S+)$", re.MULTILINE)


def worst_stall_ms(exposition: str) -> float | None:
    """Return the longest time in milliseconds that the event loop was held; None if the server does not measure it."""
    values = [float(value) for value in STALL.findall(exposition)]
    return round(max(values) * 1000, 1) if values else None


def n_unfinished(exposition: str) -> float:
    """Return how many items wait and sequences run, all models together."""
    return sum(float(value) for value in UNFINISHED.findall(exposition))
