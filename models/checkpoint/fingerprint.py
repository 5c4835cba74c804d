"""Tells whether the files of a checkpoint have changed, without reading them."""

from pathlib import Path

Fingerprint = frozenset[tuple[str, int, int, int]]
"""The path, the size in bytes, the time of modification in nanoseconds and the inode of each file."""


def fingerprint(folder: Path) -> Fingerprint:
    """Return the fingerprint of all files in a folder and below it, except hidden ones; it is empty without a folder.

    A file that is replaced has another inode, and one that is overwritten another time of modification. Links count as
    the files that they lead to.
    """
    found = []
    for path in folder.resolve().rglob("*"):
        name = path.relative_to(folder.resolve()).as_posix()
        try:
            status = path.stat()
        except OSError:  # the file was removed after it was listed, or a link leads nowhere
            continue
        if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
            found.append((name, status.st_size, status.st_mtime_ns, status.st_ino))
    return frozenset(found)
