"""A handler of logs that never waits for whoever reads them."""

import logging
import os
import select
import socket
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from typing_extensions import override

MAX_WAITING_BYTES = 2**20
"""Maximum size in bytes of the lines that wait to be written; those beyond are dropped."""
AT_EXIT_S = 1.0
"""Longest time in seconds for which the end of the process waits until the last lines are written."""
POLL_S = 1.0
"""Time in seconds after which the thread tries again to write, whatever the system says."""
SAFE_BYTES = 512
"""Number of bytes that a pipe takes without waiting if it takes any (PIPE_BUF of POSIX)."""

Write = Callable[[bytes], int]
Close = Callable[[], None]


class NonBlockingHandler(logging.Handler):
    """Writes lines to a file descriptor, such as that of standard error.

    The thread that logs a line writes it at once. Where that would have to wait, because nobody reads the pipe or the
    terminal is stopped, lines are kept, up to `MAX_WAITING_BYTES`, and a thread writes them once that is possible. It
    exists only that long. Further lines are dropped and counted, and another line says how many there were.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._write, self._close = open_without_blocking(descriptor)
        self._waiting: deque[bytes] = deque()
        self._n_waiting_bytes = 0
        self._n_dropped = 0
        self._has_writer = False

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, keep it, or drop it. The caller holds the handler's lock."""
        line = self._line(record)
        if self._waiting and not self._has_writer:
            self._write_waiting()
        if self._waiting:
            self._keep(line)
            return
        n_dropped = self._n_dropped
        if n_dropped:
            line = self._note() + line
        rest = self._rest_of(line)
        self._n_dropped = n_dropped + 1 if rest is None else 0
        if rest:
            self._keep(rest)

    @override
    def flush(self) -> None:
        """Write the lines that wait, as far as that is possible within `AT_EXIT_S`; called as the process ends."""
        deadline_s = time.monotonic() + AT_EXIT_S
        while not self._write_waiting_locked() and (left_s := deadline_s - time.monotonic()) > 0:
            _wait_until_writable(self._descriptor, left_s)

    @override
    def close(self) -> None:
        """Close what this object has opened; the descriptor itself stays open. Later lines are dropped."""
        super().close()
        self._write = _refuse
        self._close()

    def _line(self, record: logging.LogRecord) -> bytes:
        try:
            text = self.format(record)
        except Exception as error:  # a mistake of the code that logs must not lose the line without a word
            text = self._own_line(f"a line of {record.name} cannot be formatted: {type(error).__name__}: {error}")
        return text.encode("utf-8", "backslashreplace") + b"\n"

    def _note(self) -> bytes:
        text = self._own_line(f"{self._n_dropped} lines of the log were dropped, because they could not be written")
        return text.encode() + b"\n"

    def _own_line(self, message: str) -> str:
        return self.format(logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, None, None))

    def _rest_of(self, line: bytes) -> bytes | None:
        """Write a line, and return what cannot be written yet; None if it can never be."""
        try:
            return line[self._write(line) :]
        except BlockingIOError:
            return line
        except OSError:  # nobody can read the lines any more, or the disk is full
            return None

    def _keep(self, line: bytes) -> None:
        if self._waiting and self._n_waiting_bytes + len(line) > MAX_WAITING_BYTES:
            self._n_dropped += 1
            return
        self._waiting.append(line)
        self._n_waiting_bytes += len(line)
        if not self._has_writer:
            with suppress(RuntimeError):  # no thread can be started, and the next line tries to write those that wait
                threading.Thread(target=self._write_until_done, name="log-writer", daemon=True).start()
                self._has_writer = True

    def _write_until_done(self) -> None:
        is_done = False
        while not is_done:
            _wait_until_writable(self._descriptor, POLL_S)
            is_done = self._write_waiting_locked()

    def _write_waiting_locked(self) -> bool:
        self.acquire()
        try:
            is_done = self._write_waiting()
            self._has_writer = self._has_writer and not is_done
            return is_done
        finally:
            self.release()

    def _write_waiting(self) -> bool:
        """Write the lines that wait, and how many were dropped behind them. Return whether nothing waits any more."""
        while self._waiting:
            line = self._waiting.popleft()
            rest = self._rest_of(line)
            if rest is None:
                self._n_dropped += 1 + len(self._waiting)
                self._waiting.clear()
                self._n_waiting_bytes = 0
                return True
            self._n_waiting_bytes -= len(line) - len(rest)
            if rest:
                self._waiting.appendleft(rest)
                return False
        if self._n_dropped and (rest := self._rest_of(self._note())) is not None:
            self._n_dropped = 0
            if rest:
                self._waiting.append(rest)
                self._n_waiting_bytes = len(rest)
                return False
        return True


def open_without_blocking(descriptor: int) -> tuple[Write, Close]:
    """Return a function that writes to a file descriptor, and returns how many bytes it has written; and what ends it.

    Where it would have to wait, it raises BlockingIOError. The descriptor itself stays as it is: it is shared with
    other processes, to which a flag of it would apply as well.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or not hasattr(select, "poll"):
        return lambda data: os.write(descriptor, data), _do_nothing
    if stat.S_ISSOCK(mode):
        sending = socket.socket(fileno=os.dup(descriptor))
        return lambda data: sending.send(data, socket.MSG_DONTWAIT), sending.close
    try:  # the same pipe or terminal, with flags of its own
        again = os.open(Path("/proc/self/fd") / str(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return lambda data: _write_a_part(descriptor, data), _do_nothing
    return lambda data: os.write(again, data), lambda: os.close(again)


def _do_nothing() -> None:
    """Do nothing."""


def _refuse(data: bytes) -> int:
    raise OSError("the handler is closed")


def _write_a_part(descriptor: int, data: bytes) -> int:
    """Write as much as a descriptor takes without waiting, where that can only be asked and not be demanded."""
    n_bytes = 0
    while n_bytes < len(data) and _wait_until_writable(descriptor, 0.0):
        n_bytes += os.write(descriptor, data[n_bytes : n_bytes + SAFE_BYTES])
    if n_bytes == 0:
        raise BlockingIOError
    return n_bytes


def _wait_until_writable(descriptor: int, limit_s: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(limit_s * 1000))
