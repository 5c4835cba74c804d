"""The CPU threads of a process, divided among the forward passes of the moment."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Threads:
    """A forward pass that runs alone has all of them; beside n others, it starts with one part of n + 1.

    Two forward passes of one thread each get more done than one of two threads, which wait for each other after every
    operation; but one alone ends sooner with both (docs/decisions/0018).
    """

    def __init__(self, n: int) -> None:
        self._n, self._n_running = n, 0
        self._changing = threading.Lock()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """While a forward pass runs on the present thread."""
        with self._changing:
            self._n_running += 1
            share = max(1, self._n // self._n_running)
        torch.set_num_threads(share)
        try:
            yield
        finally:
            with self._changing:
                self._n_running -= 1
