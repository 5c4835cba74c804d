"""What the processes that work beside the server have in common: what they are given, and what they give up."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

NICENESS = 10
"""How much these processes stand back behind those that answer requests, of at most 19."""
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
"""Variables of the server's environment that the processes get as well; others may hold secrets."""
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
"""Options of `prctl`, from linux/prctl.h."""


def child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process: what it needs of the server's own, and these variables."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
    return {**kept, **variables, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": path}


def confine(max_file_bytes: int) -> None:
    """Make this process, which a thread of the server has started, give up what it does not need.

    It ends with the server, stands back behind it, is the first to go when memory runs out, and writes no longer files.
    """
    import resource  # here, because the server imports this module, and not every system has it

    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        with suppress(OSError):  # where the file may not be written, the kernel chooses by size
            Path("/proc/self/oom_score_adj").write_text("1000")
    os.nice(NICENESS)
    for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, max_file_bytes)):
        resource.setrlimit(limit, (most, most))


def resolve_on_loop(
    loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Any]", result: Any, error: Exception | None = None
) -> None:
    """Give a future of the event loop its result, or its error, from another thread, unless the loop is closed."""

    def resolve() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    try:
        loop.call_soon_threadsafe(resolve)
    except RuntimeError:
        if not loop.is_closed():
            raise
