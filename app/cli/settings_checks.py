"""Checks before the server starts that the folders, checkpoints, models and GPUs of the settings exist."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from app.cli.errors import WrongUsage, did_you_mean, in_words
from app.registry.hub import HubId
from app.setting_types import quote
from app.settings import Settings
from models.checkpoint import CONFIG_FILE, find_checkpoints, find_own_checkpoints, is_checkpoint, read_checkpoint
from models.errors import CheckpointError, ModelsError

Label = Callable[[str], str]
"""Returns the name of a setting as the user wrote it."""


def check_settings(settings: Settings, label: Label) -> None:
    """Check that the folders, checkpoints, models and tasks that the settings name exist.

    Raises:
        WrongUsage: one of them does not exist, or contradicts another; the error has all such problems.
        CheckpointError: two checkpoints have the same name.
    """
    problems = [*_check_folders(settings, label), *_check_dtype(settings, label)]
    problems = problems or [*_check_names(settings, label)] or [*_check_tasks(settings, label)]
    if problems:
        raise WrongUsage(problems)


def checkpoint_folders(settings: Settings, label: Label) -> list[Path]:
    """Return the folders of the checkpoints in the weights folder and of those beside it, each sorted by name.

    Raises:
        WrongUsage: there is no weights folder, or no checkpoint in it.
        CheckpointError: two checkpoints have the same name.
    """
    if problems := [*_check_weights(settings, label)]:
        raise WrongUsage(problems)
    return _all_folders(settings)


def _all_folders(settings: Settings) -> list[Path]:
    return [*find_checkpoints(settings.weights_dir), *find_own_checkpoints(settings.checkpoints_dir)]


def _check_folders(settings: Settings, label: Label) -> Iterator[str]:
    is_chosen = "weights_dir" in settings.model_fields_set
    if not settings.model or (is_chosen and not _is_folder(settings.weights_dir)):
        yield from _check_weights(settings, label)
    for name, location in settings.model.items():
        given = f"{label('model')} gives {quote(name)} the place {quote(location)}"
        if not _is_folder(location):
            if not _is_hub_id(location):
                yield (
                    f"{given}, but there is no such folder, "
                    "and it is not the id of a model on the hub, ORG/NAME[@REVISION][:SUBFOLDER]."
                )
        elif not is_checkpoint(Path(location).expanduser()):
            yield f"{given}, but that folder is not a checkpoint: there is no {CONFIG_FILE} in it."


def _check_weights(settings: Settings, label: Label) -> Iterator[str]:
    folder, named = settings.weights_dir, label("weights_dir")
    if not _is_folder(folder):
        yield f"{named} is {quote(str(folder))}, but there is no such folder."
    elif is_checkpoint(folder):
        yield (
            f"{named} is {quote(str(folder))}, which is a checkpoint itself. "
            f"Serve it with --model {folder.resolve().name}={folder}, or give the folder three levels above it."
        )
    elif not any(map(is_checkpoint, folder.glob("*/*/*"))):
        yield (
            f"{named} is {quote(str(folder))}, but there is no checkpoint in it. "
            f"A checkpoint is a folder KIND/FAMILY/NAME with a {CONFIG_FILE}."
        )


def _is_folder(location: str | Path) -> bool:
    """Return whether a folder exists; False as well where the system cannot look for it."""
    try:
        return Path(location).expanduser().is_dir()
    except (OSError, RuntimeError):  # not permitted, too long, or the home of an unknown user
        return False


def _is_hub_id(location: str) -> bool:
    try:
        HubId.parse(location)
    except CheckpointError:
        return False
    return True


def _check_names(settings: Settings, label: Label) -> Iterator[str]:
    models = sorted({folder.name for folder in _all_folders(settings)} | settings.model.keys())
    named = [("models", name) for name in settings.models]
    named += [("default_models", name) for name in settings.default_models.values()]
    named += [("dtypes", name) for name in settings.dtypes]
    for setting, name in named:
        if name not in models:
            yield (
                f"{label(setting)} names {quote(name)}, but there is no such model.{did_you_mean(name, models)} "
                f"There are {in_words(models, 'and')}."
            )


def _check_tasks(settings: Settings, label: Label) -> Iterator[str]:
    """Yield a sentence for each task that its default model does not offer. Unreadable checkpoints are skipped."""
    folders = {folder.name: folder for folder in _all_folders(settings)}
    folders |= {name: Path(location).expanduser() for name, location in settings.model.items()}
    for task, name in settings.default_models.items():
        try:
            tasks = read_checkpoint(folders[name], name).task_names
        except ModelsError:
            continue
        if task not in tasks:
            yield (
                f"{label('default_models')} gives the task {quote(task)} to {name}, which does not serve it."
                f"{did_you_mean(task, tasks)} {name} serves {in_words(tasks, 'and')}."
            )


def _check_dtype(settings: Settings, label: Label) -> Iterator[str]:
    if settings.dtype == "int8" and settings.device != "cpu":
        yield f"{label('dtype')} is int8, which is for CPUs only, but {label('device')} is {settings.device}."


def check_device(settings: Settings, label: Label) -> str | None:
    """Return what is wrong with the GPUs that the settings name, or None where torch sees them all."""
    if settings.device == "cpu":
        return None
    n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = [f"cuda:{index}" for index in range(n_devices)]
    named = f"{label('device')} is {settings.device}"
    if not found:
        is_cpu_build = torch.version.cuda is None and torch.version.hip is None
        advice = (
            "The torch that is installed is built for CPUs only: install one with CUDA"
            if is_cpu_build
            else "Check the driver with nvidia-smi, and the variable CUDA_VISIBLE_DEVICES"
        )
        return f"{named}, but torch sees no CUDA device. {advice}, or set the device to cpu."
    if all(device in ("cuda", *found) for device in settings.device.split(",")):
        return None
    return f"{named}, but torch sees only {in_words(found, 'and')}."
