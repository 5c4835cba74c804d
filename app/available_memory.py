"""How much memory this process may use: that of the machine, or what its control groups allow, whichever is less."""

import os
from collections.abc import Iterator
from pathlib import Path

PROC_SELF = Path("/proc/self")
"""Where Linux describes this process."""
PROCESS_BYTES = 2**29
"""Memory in bytes that the process itself takes: Python, PyTorch and the other libraries."""
MAX_LIMIT_BYTES = 2**60
"""Limits of control groups from which on they limit nothing: version 1 writes a huge number for none."""


def available_bytes(proc_self: Path = PROC_SELF) -> int:
    """Return the memory in bytes that this process may use, or 0 where the system does not tell.

    Control groups are nested, and each limits all within it; so the least limit counts, up to the outermost group that
    can be seen. What other programs take is not considered.
    """
    limits = list(_group_limits(proc_self))
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    if "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((limit for limit in limits if limit > 0), default=0)


def default_memory_limit(available: int) -> int:
    """Return the default of the setting `memory_limit`, where so many bytes are available; 0 if that is not known.

    The rest is for the process itself, for what loading and the C library take besides, and for errors of estimates.
    """
    return max((available - PROCESS_BYTES) * 3 // 4, available // 2)


def _group_limits(proc_self: Path) -> Iterator[int]:
    """Yield the memory limits of the control groups that this process is in, of either version (man cgroups(7))."""
    try:
        groups = (proc_self / "cgroup").read_text().splitlines()
        mounts = (proc_self / "mountinfo").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in groups:
        _, controllers, group = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            kind, file = ("cgroup2", "memory.max") if controllers == "" else ("cgroup", "memory.limit_in_bytes")
            for root, mount_point in _mounts(mounts, kind):
                folder = mount_point / os.path.relpath(group, root) if _is_within(group, root) else mount_point
                yield from _limits_upwards(folder, mount_point, file)


def _mounts(mounts: list[str], kind: str) -> Iterator[tuple[str, Path]]:
    """Yield the group at the root of each mounted hierarchy that may limit memory, and where it is mounted."""
    for line in mounts:
        mount, _, source = line.partition(" - ")
        fields, (file_system, _, options) = mount.split(" "), source.split(" ")[:3]
        if file_system == kind and (kind == "cgroup2" or "memory" in options.split(",")):
            yield fields[3], Path(fields[4])


def _is_within(group: str, root: str) -> bool:
    """Return whether a group is that at the root of a mount, or below it; in a container it may be outside."""
    return root == "/" or group == root or group.startswith(root + "/")


def _limits_upwards(folder: Path, mount_point: Path, file: str) -> Iterator[int]:
    """Yield the limits in the files of a folder and of those above it, up to the mount point."""
    for each in (folder, *folder.parents):
        if each.is_relative_to(mount_point):
            try:
                text = (each / file).read_text().strip()
            except OSError:  # the root of version 2 has no such file, nor has a group that the container does not see
                continue
            if text.isdecimal() and int(text) < MAX_LIMIT_BYTES:
                yield int(text)
