"""Reads the files of checkpoints, each once, into memory that no other program can change or truncate.

A file that is mapped into memory ends the process by SIGBUS when another program cuts it short, and its content may
change between its verification and its use. On Linux, the copy is a file in memory that is sealed (`man 2
memfd_create`): libraries open it by a path, and other processes can share it. Elsewhere it is a `bytes` object.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

from models.cancellation import stop_if_abandoned
from models.errors import CheckpointError

MAX_FILE_BYTES = 2**28
"""Maximum size of a file beside the weights."""
PART_BYTES = 2**24
"""Maximum number of bytes that are copied at once."""
OPEN_FILES = "/proc/self/fd"
"""Folder in which Linux has the open files of the process by their descriptors."""


@dataclass(frozen=True)
class FileCopy:
    """The whole content of a file.

    Attributes:
        data: the content.
        path: a path by which libraries can open the content.
        is_sealed: whether the path leads to this copy, which nobody can change, instead of the file.
    """

    data: bytes | memoryview
    path: Path
    is_sealed: bool


def read_file(path: Path, place: str, *, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of a regular file. Other files are refused at once: nothing waits for the writer of a pipe.

    Args:
        path: the path of the file.
        place: the name of the file, for errors.
        max_bytes: the maximum size of the file.

    Raises:
        CheckpointError: the file is missing, not readable or not regular, or is longer.
    """
    with _opened(path, place) as (file, size):
        if size > max_bytes:
            raise CheckpointError(f"{place} has {size} bytes; it must have at most {max_bytes}")
        return file.read(size)


def read_beginning(path: Path, place: str, n_bytes: int) -> bytes:
    """Return the first bytes of a regular file, `n_bytes` or as many as it has.

    Raises:
        CheckpointError: the file is missing, not readable or not regular.
    """
    with _opened(path, place) as (file, size):
        return file.read(min(n_bytes, size))


@contextmanager
def copied(path: Path, place: str) -> Iterator[FileCopy]:
    """Copy a regular file of any size into memory; the copy is released at the end of the context.

    Raises:
        CheckpointError: the file is missing, not readable or not regular, or is cut short while it is read.
    """
    with ExitStack() as stack:
        with _opened(path, place) as (file, size):
            memory = _new_memory_file(stack)
            data = file.read(size) if memory is None else b""
            n_bytes = len(data) if memory is None else _copy(file, memory, size)
        if n_bytes != size:
            raise CheckpointError(f"{place} was cut short from {size} to {n_bytes} bytes while it was read")
        if memory is None or not size:  # an empty file cannot be mapped
            yield FileCopy(data, path, is_sealed=False)
            return
        _seal(memory)
        mapped = stack.enter_context(mmap(memory, size, access=ACCESS_READ))
        yield FileCopy(stack.enter_context(memoryview(mapped)), Path(f"{OPEN_FILES}/{memory}"), is_sealed=True)


@contextmanager
def _opened(path: Path, place: str) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file for reading, and return it with its size.

    Raises:
        CheckpointError: the file is missing, not readable or not regular.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CheckpointError(f"{place} is a pipe or a device; it must be a file")
            yield file, status.st_size
    except FileNotFoundError:
        raise CheckpointError(f"{place} is missing") from None
    except OSError as error:
        raise CheckpointError(f"{place} is not readable: {error.strerror or error}") from None


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting, as the opening of a pipe waits for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # which Windows lacks


def _new_memory_file(stack: ExitStack) -> int | None:
    """Return the descriptor of a file in memory, which `stack` closes; None where the system has none to open."""
    if sys.platform != "linux" or not os.path.isdir(OPEN_FILES):
        return None
    try:
        memory = os.memfd_create("checkpoint", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError:  # the sandboxes of some containers forbid it
        return None
    stack.callback(os.close, memory)
    return memory


def _copy(file: BinaryIO, memory: int, size: int) -> int:
    """Copy a file into one in memory, and return the number of bytes that it had."""
    n_copied = 0
    try:
        while n_copied < size and (n := os.sendfile(memory, file.fileno(), n_copied, min(PART_BYTES, size - n_copied))):
            n_copied += n
            stop_if_abandoned()
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):  # which file systems without this call answer
            raise
        while n_copied < size and (part := os.pread(file.fileno(), min(PART_BYTES, size - n_copied), n_copied)):
            n_copied += os.pwrite(memory, part, n_copied)
    return n_copied


def _seal(memory: int) -> None:
    """Forbid every change of a file in memory, also by the process itself."""
    if sys.platform == "linux":
        from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE, fcntl

        fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
