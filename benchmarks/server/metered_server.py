"""Run a server that counts its forward passes; `manifold bench costs` starts it as a process."""

import struct
import threading
import time
from mmap import mmap
from pathlib import Path
from typing import NamedTuple

import click
from typing_extensions import override

from app.engine.observer import EngineObserver
from app.process.serve import serve
from app.settings import Settings

_METER = struct.Struct("3d")


class ForwardPasses(NamedTuple):
    """How many forward passes there have been, of how many items, and the processor time of their threads."""

    n: float
    n_items: float
    seconds: float


def read_meter(path: Path) -> ForwardPasses:
    """Return what a server has counted in its meter so far."""
    return ForwardPasses(*_METER.unpack(path.read_bytes()))


class ForwardPassMeter(EngineObserver):
    """Counts forward passes in a new file that another process reads."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(_METER.size))
        with path.open("r+b") as file:
            self._shared = mmap(file.fileno(), _METER.size)
        self._lock = threading.Lock()
        self._started_at = threading.local()

    @override
    def batch_started(self, model: str, task: str, n_items: int, cost: int) -> None:
        self._started_at.seconds = time.thread_time()

    @override
    def batch_finished(self, model: str, task: str, n_items: int, cost: int, seconds: float) -> None:
        spent = time.thread_time() - self._started_at.seconds
        with self._lock:
            n, n_all_items, all_seconds = _METER.unpack_from(self._shared)
            _METER.pack_into(self._shared, 0, n + 1, n_all_items + n_items, all_seconds + spent)


@click.command()
@click.option("--meter", type=click.Path(path_type=Path), required=True)
@click.option("--model", required=True)
@click.option("--port", type=int, required=True)
def main(meter: Path, model: str, port: int) -> None:
    """Serve a model on one thread of torch, and count its forward passes in a new file."""
    settings = Settings(models=model, torch_threads=1, port=port, log_level="warning")
    serve(settings, observer=ForwardPassMeter(meter))


if __name__ == "__main__":
    main()
