"""Finds models by name: which checkpoints there are, which are loaded, and which serves a task by default."""

import asyncio
import logging
import re
from collections.abc import Container
from pathlib import Path
from typing import Any

from app.engine.observer import EngineObserver
from app.errors import InvalidRequest, TaskNotServed, UnknownModel
from app.registry.garbage import collect_and_freeze
from app.registry.hub import HubId, find_in_cache
from app.registry.served_model import ServedModel, State
from app.settings import Settings
from models.checkpoint import find_checkpoints
from models.ops import avx512, triton

log = logging.getLogger(__name__)

MAX_LOADING = 2
"""Maximum number of models that load at the same time. More would wait for each other at the interpreter lock: loading
all the shipped models at once takes more than twice as long."""
_NAME_PATTERN = re.compile(r"[\w.-]{1,100}", re.ASCII)


class Registry:
    """Every model that the server knows, by name. All methods run on the event loop.

    Attributes:
        models: all models, loaded or not, in the order of their names.
        default_models: for each task, the model that serves requests which name none: that of the settings, or else
            the first by name.
    """

    def __init__(self, settings: Settings, observer: EngineObserver | None = None) -> None:
        """Find the checkpoints, without loading any. The observer is given to the engine of each model.

        Raises:
            UnknownModel: a setting names a model that does not exist.
            CheckpointError: two folders have the same name, or a model is neither a folder nor in the hub's cache.
            InvalidRequest: the name given to a model is taken or malformed.
        """
        self._settings = settings
        folders = {folder.name: folder for folder in find_checkpoints(settings.weights_dir)}
        folders |= {name: _locate(name, location, folders) for name, location in settings.model.items()}
        names = sorted(folders)
        for name in (*settings.models, *settings.default_models.values(), *settings.dtypes):
            if name not in names:
                raise UnknownModel(name, names)
        self._wanted = {*settings.models, *settings.model} if settings.models else set(names)
        self.models = {
            name: ServedModel(name, folders[name], settings, wanted=name in self._wanted, observer=observer)
            for name in names
        }
        self.default_models: dict[str, str] = {}
        self._choose_defaults()
        self._loading: asyncio.Task[None] | None = None

    def start_loading(self) -> None:
        """Begin to load the wanted models in the background."""
        self._loading = asyncio.create_task(self._load_wanted())

    async def loaded(self) -> None:
        """Wait until the loading that was started has ended. A model that fails to load does not count as an error.

        Raises:
            Exception: whatever else the loading raised.
        """
        if self._loading is not None:
            await asyncio.shield(self._loading)

    async def close(self) -> None:
        """Wait for the loading, then serve what is waiting and stop every model."""
        try:
            await self.loaded()
        finally:
            await asyncio.gather(*(model.stop() for model in self.models.values()))

    @property
    def ready(self) -> bool:
        """True if every wanted model serves, and at least one is wanted."""
        return bool(self._wanted) and all(self.models[name].state is State.READY for name in self._wanted)

    def get(self, name: str) -> ServedModel:
        """Return the model of that name.

        Raises:
            UnknownModel: there is none.
        """
        if name not in self.models:
            raise UnknownModel(name, self.models)
        return self.models[name]

    def model_for(self, task_name: str, name: str | None) -> ServedModel:
        """Return the named model, or the default model of the task if no name is given.

        Raises:
            UnknownModel: no model has that name; the error lists those that serve the task.
            TaskNotServed: the model does not serve the task, or no model does.
        """
        if name is None:
            name = self.default_models.get(task_name)
            if name is None:
                raise TaskNotServed(f"no model serves {task_name}")
        model = self.models.get(name)
        if model is None:
            raise UnknownModel(name, [other.name for other in self.models.values() if task_name in other.task_names])
        if model.checkpoint and task_name not in model.task_names:
            raise TaskNotServed(f"{name} does not serve {task_name}; it serves {', '.join(model.task_names)}")
        return model

    def model_for_body(self, task_name: str, body: Any) -> ServedModel:
        """Return the model that a request body names, or the default model of the task; the body need not be valid.

        Raises:
            UnknownModel, TaskNotServed: as in `model_for`.
        """
        name = body.get("model") if isinstance(body, dict) else None
        return self.model_for(task_name, name if isinstance(name, str) else None)

    async def load(self, name: str) -> ServedModel:
        """Load a model, and count it as wanted from now on.

        Raises:
            UnknownModel: there is none of that name.
            InvalidRequest: its checkpoint cannot be loaded; the detail says why.
        """
        model = self.get(name)
        was_wanted = name in self._wanted
        self._wanted.add(name)
        await model.load()
        if model.state is State.FAILED and not was_wanted:
            self._wanted.discard(name)
        self._choose_defaults()
        if model.state is State.FAILED:
            raise InvalidRequest(f"{name} cannot be loaded: {model.reason}")
        return model

    async def unload(self, name: str) -> ServedModel:
        """Unload a model, and no longer count it as wanted.

        Raises:
            UnknownModel: there is none of that name.
        """
        model = self.get(name)
        self._wanted.discard(name)
        self._choose_defaults()
        await model.unload()
        return model

    async def _load_wanted(self) -> None:
        """Load the wanted models, a few at a time."""
        reason = avx512.unavailable_reason() if self._settings.device == "cpu" else triton.unavailable_reason()
        if reason is not None:
            log.info("models use the operations of torch alone", extra={"reason": reason})
        semaphore = asyncio.Semaphore(MAX_LOADING)

        async def load(model: ServedModel) -> None:
            async with semaphore:
                await model.load()

        await asyncio.gather(*(load(model) for model in self.models.values() if model.name in self._wanted))
        self._choose_defaults()
        collect_and_freeze()

    def _choose_defaults(self) -> None:
        """Choose the default models again, after a model was loaded or unloaded. Wanted models that work come first."""
        serving = [name for name in self._wanted if self.models[name].state is not State.FAILED]
        defaults: dict[str, str] = {}
        for model in sorted(self.models.values(), key=lambda model: model.name not in serving):
            for task in model.task_names:
                defaults.setdefault(task, model.name)
        self.default_models = defaults | self._settings.default_models


def _locate(name: str, location: str, taken: Container[str]) -> Path:
    """Return the folder of a checkpoint that the settings give by path or by its id on the hub.

    Raises:
        InvalidRequest: the name is taken or malformed.
        CheckpointError: the checkpoint is neither a folder nor in the hub's cache.
    """
    if not _NAME_PATTERN.fullmatch(name) or name in taken:
        reason = "taken" if name in taken else "not made of letters, digits, dots, hyphens and underscores"
        raise InvalidRequest(f"the name {name[:100]!r} for {location} is {reason}")
    folder = Path(location).expanduser()
    return folder if folder.is_dir() else find_in_cache(HubId.parse(location))
