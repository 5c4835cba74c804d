"""What a server takes of the processor."""

from typing import NamedTuple

import psutil


class Spent(NamedTuple):
    """Seconds: of all threads, and of the first, which is the event loop's."""

    all: float
    loop: float

    def since(self, before: "Spent") -> "Spent":
        """What came after."""
        return Spent(self.all - before.all, self.loop - before.loop)


def spent_by(process_id: int) -> Spent:
    """So far."""
    process = psutil.Process(process_id)
    threads = {thread.id: thread.user_time + thread.system_time for thread in process.threads()}
    return Spent(sum(process.cpu_times()[:2]), threads[process_id])
