"""A process that decodes files, as the event loop sees it."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from typing import Any, Self

from app.concurrency.child_processes import child_environment, resolve_on_loop
from app.concurrency.decoder_messages import LENGTHS, begin_message

_WORKER = "app.concurrency.decoder_worker"
_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(2**20),  # so that glibc gives the memory of a picture back at once
    "MALLOC_ARENA_MAX": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # which the limit of memory holds for
    "ARROW_IO_THREADS": "1",
}
MAX_HEAD_BYTES = 2**16
"""Maximum size in bytes of an answer without what was decoded."""


class ProcessEnded(Exception):
    """Error: the process ended before its answer.

    Attributes:
        code: its exit status; the number of the signal that ended it, if it is negative.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"a process that decodes files ended with the code {code}")
        self.code = code


class DecoderProcess:
    """A process of `decoder_worker`. A thread starts it and waits for its end; all else is done by the event loop."""

    def __init__(self, ours: socket.socket, process: "subprocess.Popen[bytes]", ended: "asyncio.Future[int]") -> None:
        self._socket, self._process, self._ended = ours, process, ended

    @classmethod
    async def start(cls) -> Self:
        """Start a process. It can be sent files at once.

        Raises:
            OSError: the system has no more processes, memory or file descriptors.
        """
        loop = asyncio.get_running_loop()
        started: asyncio.Future[subprocess.Popen[bytes]] = loop.create_future()
        ended: asyncio.Future[int] = loop.create_future()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            thread = threading.Thread(target=_run, args=(theirs, loop, started, ended), name="decoder-process")
            thread.daemon = True
            thread.start()
            # The thread goes on if the caller is cancelled; without its other end, the process ends by itself.
            process = await started
        except BaseException:
            ours.close()
            raise
        return cls(ours, process, ended)

    async def decode(self, head: dict[str, Any], data: bytes, max_bytes: int) -> tuple[dict[str, Any], bytes]:
        """Send a file, and return the answer and what was decoded, which has at most so many bytes.

        The process must be killed if this is cancelled or fails.

        Raises:
            ValueError: the answer is longer than answers are.
            ProcessEnded: the process ended before.
        """
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._socket, begin_message(head, len(data)))
            await loop.sock_sendall(self._socket, data)
            n_json, n_bytes = LENGTHS.unpack(await self._receive(LENGTHS.size))
            if n_json > MAX_HEAD_BYTES or n_bytes > max_bytes:
                raise ValueError(f"a process that decodes files sent {n_json} and {n_bytes} bytes")
            return json.loads(await self._receive(n_json)), await self._receive(n_bytes)
        except OSError:  # the other end of the socket is closed
            raise ProcessEnded(await asyncio.shield(self._ended)) from None

    @property
    def has_ended(self) -> bool:
        """Return whether the process has ended."""
        return self._ended.done()

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._process.pid

    def kill(self) -> None:
        """End the process, whatever it does. This may be called again."""
        self._process.kill()
        self._socket.close()

    async def _receive(self, n_bytes: int) -> bytes:
        """Receive so many bytes.

        Raises:
            ConnectionResetError: the other end is closed before.
        """
        loop = asyncio.get_running_loop()
        buffer = bytearray(n_bytes)
        view = memoryview(buffer)
        while len(view):
            n_received = await loop.sock_recv_into(self._socket, view)
            if not n_received:
                raise ConnectionResetError
            view = view[n_received:]
        return bytes(buffer)


def _run(
    theirs: socket.socket,
    loop: asyncio.AbstractEventLoop,
    started: "asyncio.Future[subprocess.Popen[bytes]]",
    ended: "asyncio.Future[int]",
) -> None:
    """Start a process and wait for its end. The kernel ends the process when this thread, and so the server, ends."""
    try:
        with theirs:
            process = subprocess.Popen(  # noqa: S603 # the command is this interpreter
                [sys.executable, "-m", _WORKER],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=child_environment(_ENVIRONMENT),
                start_new_session=True,
            )
    except OSError as error:
        resolve_on_loop(loop, started, None, error)
        return
    resolve_on_loop(loop, started, process)
    resolve_on_loop(loop, ended, process.wait())
