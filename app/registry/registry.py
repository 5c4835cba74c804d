"""Finds models by name: which checkpoints there are, which are loaded, and which serves a task by default."""

import asyncio
import logging
import re
import time
from collections.abc import Collection, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.engine.observer import EngineObserver
from app.errors import InvalidRequest, ModelUnavailable, TaskNotServed, UnknownModel
from app.registry.background import call_in_background
from app.registry.defaults import Kind, choose_defaults, default_name, kinds_of
from app.registry.hub import HubId, find_in_cache
from app.registry.memory import MemoryBudget
from app.registry.model_start import Turns
from app.registry.served_model import ServedModel, State
from app.settings import Settings
from models.checkpoint import find_checkpoints, find_own_checkpoints, public_name
from models.errors import CheckpointError
from models.ops import avx512, triton

log = logging.getLogger(__name__)

CLOSE_S = 1.0
"""Time in seconds that models have to end at the shutdown, when no request waits for them any more."""
INPUTS: dict[Kind, str] = {"text": "texts", "image": "encoded images", "item": "numbers"}
"""Names of the kinds of inputs, in the plural."""
_NAME_PATTERN = re.compile(r"(?!\.+(/|\Z))[\w.-]{1,100}(/(?!\.+\Z)[\w.-]{1,100})?", re.ASCII)
"""What a model may be named: `name` or `org/name`. No part consists of dots alone, as `..` does."""


class Registry:
    """Every model that the server knows, by name. All methods run on the event loop.

    Attributes:
        memory: the memory of the models.
        models: all models, loaded or not, in the order of their names.
        default_models: for each task and kind of inputs, the model that serves requests which name none; those that are
            chosen never change.
    """

    def __init__(self, settings: Settings, observer: EngineObserver | None = None) -> None:
        """Find the checkpoints, without loading any. The observer is given to the engine of each model.

        Raises:
            UnknownModel: a setting names a model that does not exist.
            CheckpointError: two folders have the same name, or a model is neither a folder nor in the hub's cache.
            InvalidRequest: the name given to a model is taken or malformed, or a task is given to a model that does not
                serve it.
        """
        self._settings, self._observer = settings, observer
        self.memory = MemoryBudget(settings, lambda: self.models.values())
        folders = find_folders(settings)
        self._named = named_models(settings, folders, folders)
        self._wanted = set(self._named)
        self._turns = Turns.of(settings)
        self.models = self._new_models(folders, settings, self._wanted)
        self.default_models = choose_defaults(self.models.values(), settings, self._wanted)
        self._changes: set[asyncio.Task[None]] = set()  # referenced, because the event loop does not keep tasks alive
        self._loading: asyncio.Task[None] | None = None
        self._idle_timer: asyncio.Task[None] | None = None

    def start_loading(self) -> None:
        """Begin to load the wanted models in the background, and to unload those that are idle."""
        self._loading = asyncio.create_task(self._load_wanted())
        self._idle_timer = asyncio.create_task(self._unload_idle())

    async def loaded(self) -> None:
        """Wait until the loading that was started has ended. A model that fails to load does not count as an error.

        Raises:
            Exception: whatever else the loading raised.
        """
        if self._loading is not None:
            await asyncio.shield(self._loading)

    async def close(self) -> None:
        """End the loading, and close every model. What is not done within `CLOSE_S` is ended.

        Raises:
            Exception: whatever the loading raised, except that models could not be loaded.
        """
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._loading is not None:
            await asyncio.wait([self._loading], timeout=CLOSE_S)
            self._loading.cancel()
        await asyncio.gather(*(model.close(CLOSE_S) for model in self.models.values()))
        if self._loading is not None:
            with suppress(asyncio.CancelledError):
                await self._loading

    async def apply(self, settings: Settings) -> None:
        """Follow new settings: load the models that they name in addition, and unload those that they name no more.

        A model whose folder is another one, or has other files, is loaded anew beside the one in memory. Nothing waits
        for the loading; `loaded` does. Models that requests loaded or unloaded otherwise stay as they are.

        Raises:
            UnknownModel, CheckpointError, InvalidRequest: as when the registry is created; then nothing has changed.
        """
        folders = await call_in_background(find_folders, settings)
        named = named_models(settings, folders, {*folders, *self.models})
        unknown = {name: folder for name, folder in folders.items() if name not in self.models}
        new = await call_in_background(self._new_models, unknown, settings, ())
        models = dict(sorted({**self.models, **new}.items()))
        defaults = choose_defaults(models.values(), settings, named)
        self._settings = self.memory.settings = settings
        self.models = models
        for name, model in models.items():
            model.folder = folders.get(name, model.folder)
            model.apply(settings)
        for task, by_kind in defaults.items():
            self.default_models[task] = {**by_kind, **self.default_models.get(task, {})}
        added, removed = named - self._named, self._named - named
        self._named = named
        self._loading = asyncio.create_task(self._change_models(added, removed, self._loading))
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = asyncio.create_task(self._unload_idle())

    @property
    def ready(self) -> bool:
        """True if every wanted model serves or is loaded by the next request for it, and at least one is wanted."""
        wanted = [self.models[name] for name in self._wanted]
        return bool(wanted) and all(model.is_ready for model in wanted)

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
            ModelUnavailable: the model is neither in memory nor loaded on demand; the error names the models that can
                be named instead.
        """
        name = default_name(self.default_models, task_name, kind)
        if name is None:
            inputs = f" for {INPUTS[kind]}" if task_name in self.default_models else ""
            raise TaskNotServed(f"no model serves {task_name}{inputs}")
        model = self.models[name]
        try:
            if not model.loads_on_demand:
                model.require()
        except ModelUnavailable as error:
            serving = [other for other in self.models.values() if other.loaded and task_name in other.task_names]
            others = [other.name for other in serving if other is not model and kind in kinds_of(other)]
            hint = f", or name another model: {', '.join(others)}" if others else ""
            detail = f"{error.detail}; it is the default model of {task_name}{hint}"
            raise ModelUnavailable(detail, retry_after_s=error.retry_after_s) from None
        return model

    async def load(self, name: str, within_s: float | None = None) -> ServedModel:
        """Load a model, and count it as wanted from now on. If it is in memory, load its new files if there are any.

        The loading that this call begins is ended after `within_s` seconds, but not if the caller is cancelled.

        Raises:
            UnknownModel: there is none of that name.
            InvalidRequest: its checkpoint cannot be loaded; the detail says why.
            TimeoutError: the time is over.
        """
        if name not in self.models:
            await self._add_own(name)
        model = self.get(name)
        await self._change(self._load(model), within_s)
        return model

    async def _add_own(self, name: str) -> None:
        """Offer a checkpoint that was put into the folder for them since the server started, if it has this name."""
        own = await call_in_background(find_own_checkpoints, self._settings.checkpoints_dir)
        folders = {public_name(folder): folder for folder in own if public_name(folder) == name}
        new = await call_in_background(self._new_models, folders, self._settings, ())
        self.models = dict(sorted({**self.models, **new}.items()))

    async def unload(self, name: str, within_s: float = CLOSE_S) -> ServedModel:
        """Unload a model, and no longer count it as wanted. It goes on if the caller is cancelled.

        Requests that are not answered within `within_s` seconds fail with `ModelUnavailable`.

        Raises:
            UnknownModel: there is none of that name.
        """
        model = self.get(name)
        self._wanted.discard(name)
        await self._change(model.unload(within_s), None)
        return model

    async def _change(self, work: Coroutine[Any, Any, None], within_s: float | None) -> None:
        """Run a change of a model to its end, even if the caller is cancelled.

        Raises:
            TimeoutError: the change was not done within `within_s` seconds, and has been cancelled.
        """
        change = asyncio.create_task(self._run_change(work, within_s))
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)
        try:
            await asyncio.shield(change)
        finally:
            del change  # an error refers to this frame

    @staticmethod
    async def _run_change(work: Coroutine[Any, Any, None], within_s: float | None) -> None:
        async with asyncio.timeout(within_s):
            await work

    async def _load(self, model: ServedModel) -> None:
        name = model.name
        if name in self._settings.model:  # whose id may lead to another folder since it was pulled again
            with suppress(CheckpointError):
                model.folder = await call_in_background(_locate, name, self._settings.model[name], ())
        if model.loaded:
            await model.refresh()
        was_wanted = name in self._wanted
        self._wanted.add(name)
        try:
            refusal = await model.load()
        finally:
            if model.state is State.FAILED and not was_wanted:
                self._wanted.discard(name)
        if refusal is not None:
            raise InvalidRequest(f"{name} cannot be loaded: {refusal}")

    async def _load_wanted(self) -> None:
        """Load the wanted models, which take turns."""
        reason = avx512.unavailable_reason() if self._settings.device == "cpu" else triton.unavailable_reason()
        if reason is not None:
            log.info("models use the operations of torch alone", extra={"reason": reason})
        wanted = [model for model in self.models.values() if model.name in self._wanted]
        await asyncio.gather(*(model.load(may_unload=False) for model in wanted))

    def _new_models(
        self, folders: Mapping[str, Path], settings: Settings, wanted: Collection[str]
    ) -> dict[str, ServedModel]:
        """Return the models of checkpoint folders in the order of their names, without loading any."""
        return {
            name: ServedModel(
                name, folder, settings, self.memory, self._turns, wanted=name in wanted, observer=self._observer
            )
            for name, folder in sorted(folders.items())
        }

    async def _change_models(
        self, added: Collection[str], removed: Collection[str], before: asyncio.Task[None] | None
    ) -> None:
        """Load and unload models after the settings have changed, one after the other.

        A model that is added counts as wanted once it serves, so that the server stays ready while it is loading.
        """
        if before is not None:
            await asyncio.wait([before])
        for name in sorted(removed):
            await self.unload(name)
        await self.memory.shrink()
        for model in list(self.models.values()):
            try:
                if model.loaded:
                    await model.refresh()
                elif model.name in added and await model.load() is None:
                    self._wanted.add(model.name)
            except InvalidRequest as error:
                log.error("model failed to load", extra={"model": model.name, "reason": error.detail})
        self._wanted |= {name for name in added if self.models[name].loads_on_demand}

    async def _unload_idle(self) -> None:
        """Unload models that nobody has used for as long as the settings say, for as long as the server runs."""
        idle_s = self._settings.idle_unload
        while idle_s:
            now = time.monotonic()
            for model in list(self.models.values()):
                if not model.is_idle:
                    model.last_used = now
                elif now - model.last_used >= idle_s:
                    await asyncio.shield(model.become_idle())
            in_memory = [model for model in self.models.values() if model.loaded]
            await asyncio.sleep(min((model.last_used + idle_s - now for model in in_memory), default=idle_s))


def find_folders(settings: Settings) -> dict[str, Path]:
    """Return the folders of all checkpoints that the settings offer, by the names of the models.

    Raises:
        CheckpointError: two folders have the same name, or a model is neither a folder nor in the hub's cache.
        InvalidRequest: the name given to a model is taken or malformed.
    """
    folders = {public_name(folder): folder for folder in find_checkpoints(settings.weights_dir)}
    for folder in find_own_checkpoints(settings.checkpoints_dir):
        name = public_name(folder)
        if name in folders:
            raise CheckpointError(f"two checkpoints are named {name}: {folders[name]} and {folder}")
        folders[name] = folder
    return folders | {name: _locate(name, location, folders) for name, location in settings.model.items()}


def named_models(settings: Settings, offered: Collection[str], known: Collection[str]) -> set[str]:
    """Return the names of the models that the settings want to be loaded: those that they name, or all that they offer.

    Raises:
        UnknownModel: a setting names a model that is not among the known ones.
    """
    for name in (*settings.models, *settings.default_models.values(), *settings.dtypes):
        if name not in known:
            raise UnknownModel(name, sorted(known))
    return {*settings.models, *settings.model} if settings.models else set(offered)


def _locate(name: str, location: str, others: Mapping[str, Path]) -> Path:
    """Return the folder of a checkpoint that the settings give by path or by its id on the hub.

    Raises:
        InvalidRequest: the name is malformed, or that of another folder.
        CheckpointError: the checkpoint is neither a folder nor in the hub's cache.
    """
    folder = Path(location).expanduser()
    is_taken = name in others and not (folder.is_dir() and folder.samefile(others[name]))
    if is_taken or not _NAME_PATTERN.fullmatch(name):
        form = "NAME or ORG/NAME of letters, digits, dots, hyphens and underscores"
        raise InvalidRequest(f"the name {name[:100]!r} for {location} is {'taken' if is_taken else f'not {form}'}")
    return folder if folder.is_dir() else find_in_cache(HubId.parse(location))
