"""Read the processor time that a server has spent."""

from typing import NamedTuple

import psutil


class ProcessorTime(NamedTuple):
    """Seconds of processor time of a process: of all its threads, and of the main thread, which runs the event loop."""

    total: float
    event_loop: float


def processor_time(process_id: int) -> ProcessorTime:
    """Return the processor time that a process has spent since its start."""
    process = psutil.Process(process_id)
    threads = {thread.id: thread.user_time + thread.system_time for thread in process.threads()}
    return ProcessorTime(sum(process.cpu_times()[:2]), threads[process_id])


def processor_time_with_children(process_id: int) -> float:
    """Return the seconds of processor time that a process and its living descendants have spent."""
    process = psutil.Process(process_id)
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True)))
