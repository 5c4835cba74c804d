"""The folders of users' own checkpoints."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.checkpoint import check_name
from models.errors import CheckpointError
from training.errors import DataError


def new_folder(output: Path, name: str, *, replace: bool) -> Path:
    """Return the folder of a checkpoint of that name below `output`, which may exist only if it is to be replaced.

    Raises:
        DataError: the folder exists, or a checkpoint cannot have this name.
    """
    folder = output / name
    if Path(name).name != name or name.startswith("."):
        raise DataError(f"--name is {name!r}; it must be the name of a folder that does not begin with a dot")
    try:
        check_name(name)
    except CheckpointError as error:
        raise DataError(str(error)) from error
    if folder.exists() and not replace:
        raise DataError(f"{folder} exists; give --replace to replace it, or another --name")
    return folder


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write to, and put it in the place of `folder` at the end.

    So nobody ever finds half of a checkpoint there. If writing fails, `folder` stays as it is.
    """
    unfinished, old = folder.with_name(f".{folder.name}"), folder.with_name(f".{folder.name}.old")
    for left_over in (unfinished, old):
        shutil.rmtree(left_over, ignore_errors=True)
    unfinished.mkdir(parents=True)
    yield unfinished
    if folder.exists():
        folder.rename(old)
    unfinished.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
