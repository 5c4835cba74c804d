"""Runs the command line with a model whose files are on a disk that hangs: nobody ever finishes reading them.

Nothing is imported here that takes long, so that the process starts as it does otherwise.
"""

import threading
from collections.abc import Callable
from typing import Any

from app.process.hangups import Hangups

STUCK = "stuck-ae"

_follow = Hangups.follow


def follow_and_patch(hangups: Hangups, on_hangup: Callable[[], None]) -> None:
    """Let the disk hang from the moment on in which the server has started."""
    from app.registry import loaded_model, served_model

    read = loaded_model.read_replicas

    def read_or_hang(folder: Any, name: str, settings: Any) -> Any:
        return threading.Event().wait() if name == STUCK else read(folder, name, settings)

    served_model.read_replicas = read_or_hang  # type: ignore[attr-defined]
    _follow(hangups, on_hangup)


if __name__ == "__main__":
    Hangups.follow = follow_and_patch  # type: ignore[assignment, method-assign]

    from app.cli import main

    main()
