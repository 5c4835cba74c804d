"""A process that fits a model to a file, as the event loop sees it."""

import asyncio
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.concurrency.child_processes import child_environment, resolve_on_loop

_WORKER = "app.concurrency.fit_worker"
WORK_PREFIX = ".fit-"
"""Begin of the names of the folders that processes work in, beside the checkpoints. A dot hides them."""
MAX_LEFT_OVER_S = 24 * 3600.0
"""Age in seconds from which such a folder was left over by a server that was killed."""
MAX_LINE_BYTES = 2**22
"""Maximum size in bytes of a line that a process prints: it describes all columns."""
MAX_ERROR_BYTES = 2**16
"""Maximum number of bytes that are kept of what a process writes to standard error; the last ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FitJob:
    """What is to be fitted, and how.

    Attributes:
        folder: the folder of the checkpoint, which need not exist.
        file_name: a name for the file, whose ending says what kind of file it is.
        options: options of `manifold fit`, each with its value.
        may_replace: whether a checkpoint that is in the folder is replaced.
        max_bytes: most memory of the process, and most bytes of a file that it writes.
        n_threads: number of threads that it computes with.
    """

    folder: Path
    file_name: str
    options: Sequence[str]
    may_replace: bool
    max_bytes: int
    n_threads: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FitEnd:
    """How a process ended: its exit status, negative for the signal that ended it, and its standard error."""

    code: int
    errors: str


class FitProcess:
    """A run of `manifold fit`. A thread does all that blocks, and leaves nothing but the checkpoint in its place.

    The thread writes the file into a folder of its own, starts the process there, waits for its end, moves the
    checkpoint, and removes the folder.

    Attributes:
        ended: how the process ended, once the checkpoint is in its place and nothing else is left. It has an OSError if
            the folder cannot be written, or the process could not be started.
    """

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    def __init__(self, job: FitJob) -> None:
        """Prepare a run, on the event loop that will wait for it."""
        self._job = job
        self._work = job.folder.parent / f"{WORK_PREFIX}{secrets.token_hex(8)}"
        self._process: subprocess.Popen[bytes] | None = None
        self._is_killed = False
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[FitEnd] = self._loop.create_future()
        self.ended.add_done_callback(_mark_retrieved)

    @classmethod
    async def start(cls, job: FitJob, data: bytes) -> Self:
        """Begin to fit a model to a file."""
        run = cls(job)
        ours, theirs = socket.socketpair()
        threading.Thread(target=run._run, args=(theirs, data), name="fit", daemon=True).start()
        try:
            run._reader, run._writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE_BYTES)
        except BaseException:
            run.kill()
            ours.close()
            raise
        return run

    async def read_line(self) -> bytes:
        """Return the next line that the process prints, with its line feed; nothing at the end.

        Raises:
            ValueError: the line is longer than lines are.
        """
        return await self._reader.readline()

    def kill(self) -> None:
        """End the process and what it has started, whatever it does. This may be called again, and after its end."""
        with self._lock:
            self._is_killed = True
            if self._process is not None and self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process, and read nothing of it any more."""
        self.kill()
        self._writer.close()

    def _run(self, theirs: socket.socket, data: bytes) -> None:
        """Do all that blocks, on a thread. The kernel ends the process when the thread, and so the server, ends."""
        outcome: FitEnd | Exception
        try:
            with theirs:
                _remove_left_over(self._job.folder.parent)
                self._work.mkdir(parents=True)
                (self._work / self._job.file_name).write_bytes(data)
                process = self._start_process(theirs)
            outcome = FitEnd(code=process.wait(), errors=self._read_errors())
            if outcome.code == 0:
                self._install()
        except Exception as error:  # whatever it is, somebody waits for the end
            outcome = error
        shutil.rmtree(self._work, ignore_errors=True)
        failure = outcome if isinstance(outcome, Exception) else None
        resolve_on_loop(self._loop, self.ended, outcome, failure)

    def _start_process(self, theirs: socket.socket) -> "subprocess.Popen[bytes]":
        """Start the process in a group of its own, so that it is killed with all that it has started.

        It is no session of its own: where the kernel groups processes by session, their priorities count within one.
        """
        job = self._job
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(job.n_threads))
        options = [*job.options, f"--name={job.folder.name}", "--output=made", "--json-lines"]
        with (self._work / "errors").open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603 # the command is this interpreter
                [sys.executable, "-P", "-m", _WORKER, str(job.max_bytes), job.file_name, *options],
                cwd=self._work,
                stdin=subprocess.DEVNULL,
                stdout=theirs.fileno(),
                stderr=errors,
                env=child_environment({**threads, "TMPDIR": str(self._work.absolute())}),
                process_group=0,
            )
        with self._lock:
            self._process, is_killed = process, self._is_killed
        if is_killed:
            self.kill()
        return process

    def _read_errors(self) -> str:
        with (self._work / "errors").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_ERROR_BYTES))
            return file.read().decode(errors="replace")

    def _install(self) -> None:
        """Move the checkpoint, if there is one, to its place.

        Raises:
            FileExistsError: another one has been put there meanwhile, and it may not be replaced.
        """
        folder, made = self._job.folder, self._work / "made" / self._job.folder.name
        with self._lock:
            if self._is_killed or not made.exists():
                return
            if os.path.lexists(folder):
                if not self._job.may_replace:
                    raise FileExistsError(f"{folder} exists")
                folder.rename(self._work / "replaced")
            made.rename(folder)


def _remove_left_over(folder: Path) -> None:
    for path in folder.glob(f"{WORK_PREFIX}*"):
        with suppress(FileNotFoundError):  # another server removes it as well
            if time.time() - path.stat().st_mtime > MAX_LEFT_OVER_S:
                shutil.rmtree(path, ignore_errors=True)


def _mark_retrieved(ended: "asyncio.Future[FitEnd]") -> None:
    """Mark an error as retrieved, since nobody waits for the end of a process that was killed."""
    if not ended.cancelled():
        ended.exception()
