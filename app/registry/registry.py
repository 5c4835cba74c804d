"""Model names to checkpoints to loaded models, each behind its own engine."""

import asyncio
import gc
import logging
import re
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch

from app.engine.engine import Engine
from app.engine.supervisor import Health
from app.errors import InferenceFailed, InvalidRequest, ModelUnavailable, TaskNotServed, UnknownModel
from app.registry.hub import HubId, find
from app.settings import Settings
from models import kernels
from models.allocator import give_memory_back
from models.checkpoint import Checkpoint, find_checkpoints, load_model, read_checkpoint
from models.codecs import VectorCodec
from models.errors import ModelsError
from models.family import Model
from models.kernels import gpu
from models.layers.generation import Generator
from models.precision import Lowered, choose, lower

log = logging.getLogger(__name__)

LOADING_AT_ONCE = 2
"""More wait for one another, at the interpreter's lock: all the shipped ones at once take more than twice as long."""
LOADING_RETRY_AFTER_S = 1
DOWN_RETRY_AFTER_S = 30
GARBAGE_THRESHOLD = 5_000
"""New objects before those that are left are walked; Python's default is 700."""
_NAME = re.compile(r"[\w.-]{1,100}", re.ASCII)


class State(StrEnum):
    """Of a model, as clients see it."""

    LOADING = "loading"
    READY = "ready"
    RECOVERING = "recovering"
    UNLOADING = "unloading"
    UNLOADED = "unloaded"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What is only known once a model is in memory."""

    engine: Engine
    latents: VectorCodec
    scores: tuple[str, ...]
    samplers: tuple[str, ...]
    labels: tuple[str, ...]
    n_parameters: int
    memory_bytes: int
    lowered: Lowered
    unused_weights: list[str]


class ServedModel:
    """One checkpoint folder and what has become of it."""

    def __init__(self, name: str, folder: Path, settings: Settings, *, wanted: bool) -> None:
        self.name = name
        self.checkpoint: Checkpoint | None = None
        self.loaded: Loaded | None = None
        self.reason: str | None = None
        self._folder, self._settings = folder, settings
        self._state = State.LOADING if wanted else State.UNLOADED
        self._changing = asyncio.Lock()
        try:
            self.checkpoint = read_checkpoint(folder, name)
        except ModelsError as error:
            self.reason = str(error)

    @property
    def state(self) -> State:
        """The present state; `READY` only while the worker's thread is alive and has proved itself."""
        if self._state is State.READY and self.loaded and self.loaded.engine.health is not Health.READY:
            return State.RECOVERING
        return self._state

    @property
    def task_names(self) -> list[str]:
        """What the model can be asked; nothing while its configuration cannot be read."""
        return self.checkpoint.task_names if self.checkpoint else []

    def require(self) -> tuple[Checkpoint, Loaded]:
        """The model in memory.

        Raises:
            ModelUnavailable: it is not; the error says why. A recovering model still takes requests into its queue.
        """
        if self.checkpoint and self.loaded and self._state is State.READY:
            return self.checkpoint, self.loaded
        wait_s = LOADING_RETRY_AFTER_S if self.state is State.LOADING else DOWN_RETRY_AFTER_S
        raise ModelUnavailable(f"{self.name} is {self.state}", retry_after_s=wait_s)

    async def load(self) -> None:
        """Bring the model into memory, if it is not, and wait for its first forward passes; failure is a state."""
        async with self._changing:
            if self.loaded:
                return
            self._state, self.reason = State.LOADING, None
            try:
                checkpoint, replicas, lowered = await asyncio.to_thread(self._read)
                engine = Engine(self.name, replicas, checkpoint.tasks, self._settings, budget=self._budget(checkpoint))
                await engine.started()
            except (ModelsError, InferenceFailed) as error:
                self._state, self.reason = State.FAILED, str(error)
                log.error("model failed to load", extra={"model": self.name, "reason": str(error)})
                return
            except Exception as error:  # whatever a device or a library raises, the other models go on
                self._state, self.reason = State.FAILED, f"an unexpected {type(error).__name__}; see the log"
                log.exception("model failed to load", extra={"model": self.name})
                return
            self.loaded = _describe(checkpoint, replicas, engine, lowered)
            self._state = State.READY
            memory = {"memory_bytes": self.loaded.memory_bytes}
            log.info("model ready", extra={"model": self.name, **memory, **asdict(lowered)})

    async def stop(self) -> None:
        """Serve what is waiting, then let go of the model."""
        async with self._changing:
            if self.loaded:
                self._state = State.UNLOADING
                await self.loaded.engine.stop()
                self.loaded = None
            self._state, self.reason = State.UNLOADED, None

    async def unload(self) -> None:
        """The same, and give the memory back, if there is any."""
        has_memory = self.loaded is not None
        await self.stop()
        if has_memory:
            _settle_garbage()
            await asyncio.to_thread(give_memory_back)

    def _budget(self, checkpoint: Checkpoint) -> int:
        is_text = checkpoint.modality == "text"
        return self._settings.max_batch_tokens if is_text else self._settings.max_batch_elements

    def _read(self) -> tuple[Checkpoint, list[Model], Lowered]:
        """A replica for each worker; those on one device are the same model."""
        checkpoint = read_checkpoint(self._folder, self.name)
        self.checkpoint = checkpoint
        settings = self._settings
        models: dict[str, Model] = {}
        for device in settings.device.split(","):
            if device not in models:
                choice = choose(
                    settings.dtype, settings.dtypes.get(self.name), checkpoint.modality, torch.device(device)
                )
                models[device] = load_model(checkpoint, device=device)
                lowered = lower(models[device], choice)
                if device != "cpu":
                    torch.cuda.synchronize(device)  # workers launch on streams of their own
        places = settings.devices(generates=isinstance(models[device], Generator))
        return checkpoint, [models[place] for place in places], lowered


class Registry:
    """Every model the server knows. Unknown names in the settings are errors at once."""

    def __init__(self, settings: Settings) -> None:
        """Find the checkpoints; nothing is loaded yet.

        Raises:
            UnknownModel: a setting names a model that is not in the weights folder.
            CheckpointError: two folders have the same name.
            InvalidRequest: a model is given a name that is taken, or is none.
            CheckpointError: a model is neither a folder nor in the hub's cache.
        """
        self._settings = settings
        folders = {folder.name: folder for folder in find_checkpoints(settings.weights_dir)}
        folders |= {name: _located(name, place, folders) for name, place in settings.model.items()}
        names = sorted(folders)
        for name in (*settings.models, *settings.default_models.values(), *settings.dtypes):
            if name not in names:
                raise UnknownModel(name, names)
        self._wanted = set(settings.models or names)
        self.models = {name: ServedModel(name, folders[name], settings, wanted=name in self._wanted) for name in names}
        self._choose_defaults()

    async def open(self) -> None:
        """Load the wanted models, a few at once."""
        reason = kernels.missing() if self._settings.device == "cpu" else gpu.missing()
        if reason is not None:
            log.info("models run on torch's operations alone", extra={"reason": reason})
        places = asyncio.Semaphore(LOADING_AT_ONCE)

        async def load(model: ServedModel) -> None:
            async with places:
                await model.load()

        await asyncio.gather(*(load(model) for model in self.models.values() if model.name in self._wanted))
        self._choose_defaults()
        _settle_garbage()

    def start_loading(self) -> None:
        """Start loading the wanted models in the background."""
        self._loading = asyncio.create_task(self.open())

    async def loaded(self) -> None:
        """Wait until each wanted model serves or has failed."""
        await self._loading

    async def close(self) -> None:
        """Stop everything; the memory goes with the process."""
        await self._loading
        await asyncio.gather(*(model.stop() for model in self.models.values()))

    @property
    def ready(self) -> bool:
        """Whether every wanted model serves; false where none is wanted, for then there is nothing to serve."""
        return bool(self._wanted) and all(self.models[name].state is State.READY for name in self._wanted)

    def _choose_defaults(self) -> None:
        """Again whenever a model comes or goes: those that are to serve, and can, come before the others."""
        first: dict[str, str] = {}

        def cannot_serve(model: ServedModel) -> bool:
            return model.name not in self._wanted or model.state is State.FAILED

        for model in sorted(self.models.values(), key=cannot_serve):
            for task in model.task_names:
                first.setdefault(task, model.name)
        self.default_models = first | self._settings.default_models
        """The model each task goes to where a request names none: the setting, else the first by name."""

    def get(self, name: str) -> ServedModel:
        """The model of that name.

        Raises:
            UnknownModel: there is none.
        """
        if name not in self.models:
            raise UnknownModel(name, self.models)
        return self.models[name]

    def serving(self, task_name: str, name: str | None) -> ServedModel:
        """The named model, or the task's default: the setting, else the first by name that serves the task.

        Raises:
            UnknownModel: no model has that name; the error lists those that serve the task.
            TaskNotServed: the model does not serve the task, or none does.
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

    def asked(self, task_name: str, values: Any) -> ServedModel:
        """The model that a body names, whatever else is in it; errors as `serving`."""
        name = values.get("model") if isinstance(values, dict) else None
        return self.serving(task_name, name if isinstance(name, str) else None)

    async def load(self, name: str) -> ServedModel:
        """Load a model and want it from now on.

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
        """Unload a model and no longer want it.

        Raises:
            UnknownModel: there is none of that name.
        """
        model = self.get(name)
        self._wanted.discard(name)
        self._choose_defaults()
        await model.unload()
        return model


def _located(name: str, place: str, taken: Container[str]) -> Path:
    """The folder of a checkpoint given by path or by its id of the hub."""
    if not _NAME.fullmatch(name) or name in taken:
        reason = "taken" if name in taken else "not made of letters, digits, dots, hyphens and underscores"
        raise InvalidRequest(f"the name {name[:100]!r} for {place} is {reason}")
    folder = Path(place).expanduser()
    return folder if folder.is_dir() else find(HubId.parse(place))


def _settle_garbage() -> None:
    """Collect what is garbage, and exempt all that is left from further collections.

    Torch and FastAPI bring some 200,000 objects that live as long as the process. Walking them takes about 150 ms, and
    would stop the server every few hundred requests. What is left to walk are connections, of which there may be a
    thousand.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


def _describe(checkpoint: Checkpoint, replicas: Sequence[Model], engine: Engine, lowered: Lowered) -> Loaded:
    model = replicas[0]
    return Loaded(
        engine=engine,
        latents=VectorCodec(model.latent_shape),
        scores=model.scores,
        samplers=model.samplers,
        labels=model.labels,
        n_parameters=model.n_parameters,
        memory_bytes=sum(replica.memory_bytes for replica in set(replicas)),
        unused_weights=checkpoint.unused,
        lowered=lowered,
    )
