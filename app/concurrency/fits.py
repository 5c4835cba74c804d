"""The fits that requests ask for, one at a time, and what the ends of their processes mean."""

import asyncio
import json
import logging
import re
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from app.concurrency.fit_process import FitEnd, FitJob, FitProcess
from app.errors import FitFailed, FitUnavailable, InvalidRequest, ManifoldError, QueueFull

log = logging.getLogger(__name__)

PROGRESS, RESULT = b'{"progress":', b'{"result":'
"""Begins of two kinds of lines of `manifold fit --json-lines`; the result is the last line."""
REPEAT_S = 1.0
"""Time in seconds after which the progress is repeated if nothing new is known.

Only what is sent shows that a client has left. A machine that has much to do may hold up a fit for minutes.
"""
CLOSE_S = 2.0
"""Longest time in seconds that the end of the server waits for the end of a process that it has killed."""
MAX_WAIT_S = 5.0
"""Longest time in seconds that a request waits for its turn. A browser may take that long to hang up an earlier one."""
RETRY_AFTER_S = 30
"""Time in seconds after which a client that was refused, because another fit runs, may try again."""
_REFUSAL = re.compile(r"^Error: (.*)", re.MULTILINE | re.DOTALL)
"""What `manifold fit` prints if it refuses data or options."""
_MEMORY_ERRORS = ("MemoryError", "can't allocate memory", "Cannot allocate memory", "bad_alloc", "Unable to allocate")


class Fits:
    """Runs `manifold fit` in a process of its own, for one request at a time. All methods run on the event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._process: FitProcess | None = None  # the last one

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """Hold the only turn. The request that has it may be about to end, so that this waits for a while.

        Raises:
            QueueFull: another request keeps it.
        """
        try:
            await asyncio.wait_for(self._turn.acquire(), MAX_WAIT_S)
        except TimeoutError:
            detail = "another model is being fitted, and this server fits one at a time"
            raise QueueFull(detail, retry_after_s=RETRY_AFTER_S) from None
        try:
            yield
        finally:
            self._turn.release()

    async def lines(self, job: FitJob, data: bytes) -> AsyncGenerator[bytes, None]:
        """Fit a model to a file, and yield the lines that `manifold fit --json-lines` prints.

        Progress is repeated while nothing new is known. The result is yielded once the checkpoint is in its place. If
        the generator is closed before, the process is killed, and nothing is left of it.

        Raises:
            InvalidRequest: `manifold fit` refuses the file or an option, or the fit takes too much memory.
            FitUnavailable: the folder cannot be written, or no process can be started.
            FitFailed: the process has failed, or was killed from outside.
        """
        process, result = None, b""
        try:
            process = self._process = await FitProcess.start(job, data)
            async for line in _lines_with_repeats(process):
                if line.startswith(RESULT):
                    result = line
                else:
                    yield line
            end = await asyncio.shield(process.ended)
            if end.code != 0:
                raise _reason_of(end, job)
            if result:
                content = json.loads(result)
                content["result"]["folder"] = str(job.folder)  # and not where the process has written it
                yield json.dumps(content, ensure_ascii=False).encode() + b"\n"
        except FileExistsError as error:
            raise InvalidRequest(f"a model named {job.folder.name} was made while this one was fitted") from error
        except OSError as error:
            raise FitUnavailable(f"models cannot be fitted: {error.strerror or error}") from error
        finally:
            if process is not None:
                process.close()

    async def close(self) -> None:
        """End the process that runs, and wait until nothing of it is left."""
        if self._process is not None:
            self._process.close()
            await asyncio.wait([self._process.ended], timeout=CLOSE_S)


async def _lines_with_repeats(process: FitProcess) -> AsyncGenerator[bytes, None]:
    progress = b""
    while True:
        try:
            async with asyncio.timeout(REPEAT_S if progress else None):
                line = await process.read_line()
        except TimeoutError:
            line = progress
        if not line:
            return
        progress = line if line.startswith(PROGRESS) else b""
        yield line


def _reason_of(end: FitEnd, job: FitJob) -> ManifoldError:
    """Return the error that the end of a process means."""
    if refusal := _REFUSAL.search(end.errors):
        return InvalidRequest(refusal[1].strip())
    if any(words in end.errors for words in _MEMORY_ERRORS):
        return InvalidRequest(f"the fit takes more than {job.max_bytes} bytes of memory, the limit (fit_memory)")
    log.error("the process of a fit has ended with the code %d: %s", end.code, end.errors)
    if end.code == -signal.SIGKILL:
        return FitFailed("the process of the fit was killed from outside; the machine may lack memory")
    return FitFailed("the process of the fit failed; the log of the server has the reason")
