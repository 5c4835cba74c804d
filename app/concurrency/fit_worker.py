"""The program of a process that fits a model for a request: `manifold fit`, with a limit of memory.

The arguments are the limit in bytes, and those of `manifold fit`.
"""

import resource
import sys
from importlib.metadata import entry_points

from app.concurrency.child_processes import confine


def main() -> None:
    """Run `manifold fit`."""
    max_bytes, *arguments = sys.argv[1:]
    confine(max_file_bytes=int(max_bytes))
    if sys.platform == "linux":  # elsewhere, the limit does not count what is mapped
        resource.setrlimit(resource.RLIMIT_DATA, (int(max_bytes), int(max_bytes)))
    (command,) = entry_points(group="manifold.commands", name="fit")
    command.load().main(arguments, prog_name="manifold fit")


if __name__ == "__main__":
    main()
