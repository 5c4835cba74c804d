"""Limit the memory of a server to what a small machine has, and read how much it takes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryGroup:
    """A control group of Linux that limits the memory of its processes; without a folder, nothing limits them.

    `file_names` are those of the limit and of the counter of processes that were killed for exceeding it.
    """

    kind: str = "no limit, because this process may not make a control group for memory"
    folder: Path | None = None
    file_names: tuple[str, str] = ("", "")

    @property
    def join_command(self) -> str:
        """Return the shell command by which a process joins the group; empty if there is none."""
        return f"echo $$ > {self.folder / 'cgroup.procs'}" if self.folder else ""

    @property
    def n_killed(self) -> int:
        """Return how many of its processes the system has killed for exceeding the limit."""
        if self.folder is None:
            return 0
        lines = (self.folder / self.file_names[1]).read_text().splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

    def read_limit(self) -> int | None:
        """Return the limit in bytes; None if there is none."""
        if self.folder is None:
            return None
        text = (self.folder / self.file_names[0]).read_text().strip()
        return int(text) if text.isdigit() else None

    def limit(self, n_bytes: int) -> bool:
        """Change the limit, and return whether the system took it; it refuses less than what cannot be given back."""
        if self.folder is None:
            return False
        try:
            (self.folder / self.file_names[0]).write_text(str(n_bytes))
        except OSError:
            return False
        return True


@contextmanager
def memory_group(n_bytes: int) -> Iterator[MemoryGroup]:
    """Make a group with a limit, and remove it afterwards, when its processes have ended."""
    group = _make(V1, "cgroup v1", ("memory.limit_in_bytes", "memory.oom_control")) or _make(
        V2, "cgroup v2", ("memory.max", "memory.events")
    )
    if group is None or not group.limit(n_bytes):
        yield MemoryGroup()
        return
    try:
        yield group
    finally:
        with suppress(OSError):
            (group.folder or Path()).rmdir()


def _make(root: Path, kind: str, file_names: tuple[str, str]) -> MemoryGroup | None:
    folder = root / f"manifold-benchmark-{os.getpid()}"
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        if (folder / file_names[0]).exists():
            return MemoryGroup(kind, folder, file_names)
        folder.rmdir()
    return None


def resident_bytes(process_id: int) -> int:
    """Return the resident memory of a process and all its descendants; 0 once it has ended."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(process_id)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += each.memory_info().rss
    return total
