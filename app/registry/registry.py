"""Finds models by name: which checkpoints there are, which are loaded, and which serves a task by default."""

import asyncio
import logging
import re
from collections.abc import Container
from pathlib import Path

from app.engine.observer import EngineObserver
from app.errors import InvalidRequest, ModelUnavailable, TaskNotServed, UnknownModel
from app.registry.defaults import Kind, choose_defaults, default_name, kinds_of
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
INPUTS: dict[Kind, str] = {"text": "texts", "image": "encoded images", "item": "numbers"}
"""Names of the kinds of inputs, in the plural."""
_NAME_PATTERN = re.compile(r"[\w.-]{1,100}", re.ASCII)


class Registry:
    """Every model that the server knows, by name. All methods run on the event loop.

    Attributes:
        models: all models, loaded or not, in the order of their names.
        default_models: for each task and kind of inputs, the model that serves requests which name none; it never
            changes.
    """

    def __init__(self, settings: Settings, observer: EngineObserver | None = None) -> None:
        """Find the checkpoints, without loading any. The observer is given to the engine of each model.

        Raises:
            UnknownModel: a setting names a model that does not exist.
            CheckpointError: two folders have the same name, or a model is neither a folder nor in the hub's cache.
            InvalidRequest: the name given to a model is taken or malformed, or a task is given to a model that does not
                serve it.
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
        self.default_models = choose_defaults(self.models.values(), settings, self._wanted)
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

    def model_for(self, task_name: str, name: str) -> ServedModel:
        """Return the named model.

        Raises:
            UnknownModel: no model has that name; the error lists those that serve the task.
            TaskNotServed: the model does not serve the task.
        """
        model = self.models.get(name)
        if model is None:
            raise UnknownModel(name, [other.name for other in self.models.values() if task_name in other.task_names])
        if model.checkpoint and task_name not in model.task_names:
            raise TaskNotServed(f"{name} does not serve {task_name}; it serves {', '.join(model.task_names)}")
        return model

    def default_model(self, task_name: str, kind: Kind) -> ServedModel:
        """Return the default model of a task for inputs of this kind.

        Raises:
            TaskNotServed: no model serves the task for such inputs.
            ModelUnavailable: the model is not in memory; the error names the models that can be named instead.
        """
        name = default_name(self.default_models, task_name, kind)
        if name is None:
            inputs = f" for {INPUTS[kind]}" if task_name in self.default_models else ""
            raise TaskNotServed(f"no model serves {task_name}{inputs}")
        model = self.models[name]
        try:
            model.require()
        except ModelUnavailable as error:
            serving = [other for other in self.models.values() if other.loaded and task_name in other.task_names]
            others = [other.name for other in serving if other is not model and kind in kinds_of(other)]
            hint = f", or name another model: {', '.join(others)}" if others else ""
            detail = f"{error.detail}; it is the default model of {task_name}{hint}"
            raise ModelUnavailable(detail, retry_after_s=error.retry_after_s) from None
        return model

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
        collect_and_freeze()


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
