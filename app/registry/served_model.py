"""One checkpoint, and its states while the server runs."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import torch

from app.engine.engine import Engine
from app.engine.observer import EngineObserver
from app.engine.supervisor import Health
from app.errors import InferenceFailed, ModelUnavailable
from app.registry.garbage import collect_and_freeze, give_memory_back
from app.settings import Settings
from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import Checkpoint, load_model, read_checkpoint
from models.checkpoint.self_check import SelfCheck, check_answers
from models.checkpoint.text_description import TextDescription, describe_text_model
from models.codecs import VectorCodec
from models.errors import CheckpointError, ModelsError
from models.family import Model
from models.generation.generator import Generator
from models.precision import Conversion, choose_precision, convert
from models.tasks.generation_defaults import GenerationDefaults

log = logging.getLogger(__name__)

LOADING_RETRY_AFTER_S = 1
"""Time in seconds after which clients are asked to try again while a model is loading."""
DOWN_RETRY_AFTER_S = 30
"""Time in seconds after which clients are asked to try again while a model is in another state but ready."""


class State(StrEnum):
    """The state of a model, as clients see it."""

    LOADING = "loading"
    READY = "ready"
    RECOVERING = "recovering"
    UNLOADING = "unloading"
    UNLOADED = "unloaded"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model in memory: its engine, and properties that are only known once it is loaded."""

    engine: Engine
    latents: VectorCodec
    scores: tuple[str, ...]
    samplers: tuple[str, ...]
    labels: tuple[str, ...]
    generation_defaults: GenerationDefaults
    n_parameters: int
    memory_bytes: int
    conversion: Conversion
    unused_weights: list[str]
    missing_heads: list[str]
    text: TextDescription | None
    self_check: SelfCheck | None


class ServedModel:
    """A checkpoint folder that can be loaded into memory and unloaded again.

    Attributes:
        checkpoint: None while the folder cannot be read.
        loaded: None unless the model is in memory.
        reason: why the model has failed, or why its folder cannot be read.
    """

    def __init__(
        self, name: str, folder: Path, settings: Settings, *, wanted: bool, observer: EngineObserver | None = None
    ) -> None:
        """Read the checkpoint's description. A model that is `wanted` counts as loading from now on."""
        self.name = name
        self.checkpoint: Checkpoint | None = None
        self.loaded: LoadedModel | None = None
        self.reason: str | None = None
        self._folder, self._settings, self._observer = folder, settings, observer
        self._state = State.LOADING if wanted else State.UNLOADED
        self._changing = asyncio.Lock()
        try:
            self.checkpoint = read_checkpoint(folder, name)
        except ModelsError as error:
            self.reason = str(error)

    @property
    def state(self) -> State:
        """The present state. It is `READY` only while all worker threads are alive and have run a forward pass."""
        if self._state is State.READY and self.loaded and self.loaded.engine.health is not Health.READY:
            return State.RECOVERING
        return self._state

    @property
    def task_names(self) -> list[str]:
        """The tasks that the model serves; empty while its checkpoint cannot be read."""
        return self.checkpoint.task_names if self.checkpoint else []

    def require(self) -> tuple[Checkpoint, LoadedModel]:
        """Return the model if it takes requests. A recovering model does: they wait in its queue.

        Raises:
            ModelUnavailable: it is not in memory; the detail names its state, the reason, and what can be done.
        """
        if self.checkpoint and self.loaded and self._state is State.READY:
            return self.checkpoint, self.loaded
        wait_s = LOADING_RETRY_AFTER_S if self.state is State.LOADING else DOWN_RETRY_AFTER_S
        raise ModelUnavailable(f"{self.name} is {self._explain_state()}", retry_after_s=wait_s)

    def _explain_state(self) -> str:
        """Return the present state with its reason, and what can be done about it."""
        load = f"POST /models/{self.name}/load"
        match self.state:
            case State.LOADING:
                return f"{self.state}; try again when it is ready"
            case State.FAILED:
                return f"{self.state}: {self.reason}; once that is mended, {load} loads it again"
            case _:
                return f"{self.state}; {load} loads it"

    async def load(self) -> None:
        """Load the model, unless it is in memory, and wait for its first forward passes.

        Never raises because of the model: if it cannot be loaded, the state is `FAILED` and `reason` says why.
        """
        async with self._changing:
            if self.loaded:
                return
            self._state, self.reason = State.LOADING, None
            try:
                self.loaded = await self._start()
            except (ModelsError, InferenceFailed) as error:
                self._state, self.reason = State.FAILED, str(error)
                log.error("model failed to load", extra={"model": self.name, "reason": str(error)})
                return
            except Exception as error:  # whatever a device or a library raises must not affect the other models
                self._state, self.reason = State.FAILED, f"an unexpected {type(error).__name__}; see the log"
                log.exception("model failed to load", extra={"model": self.name})
                return
            self._state = State.READY
            memory = {"memory_bytes": self.loaded.memory_bytes}
            log.info("model ready", extra={"model": self.name, **memory, **asdict(self.loaded.conversion)})

    async def stop(self) -> None:
        """Serve the waiting requests, then drop the model."""
        async with self._changing:
            if self.loaded:
                self._state = State.UNLOADING
                await self.loaded.engine.stop()
                self.loaded = None
            self._state, self.reason = State.UNLOADED, None

    async def unload(self) -> None:
        """Serve the waiting requests, then drop the model and give its memory back to the operating system."""
        has_memory = self.loaded is not None
        await self.stop()
        if has_memory:
            collect_and_freeze()
            await asyncio.to_thread(give_memory_back)

    async def _start(self) -> LoadedModel:
        """Read the weights on a thread, and start an engine.

        Raises:
            ModelsError: the checkpoint is damaged, or cannot run as the settings demand.
            InferenceFailed: a first forward pass failed.
        """
        checkpoint, replicas, conversion, self_check = await asyncio.to_thread(self._read)
        is_text = checkpoint.modality == "text"
        budget = self._settings.max_batch_tokens if is_text else self._settings.max_batch_elements
        tasks, observer = checkpoint.tasks, self._observer
        engine = Engine(self.name, replicas, tasks, self._settings, budget=budget, observer=observer)
        await engine.started()
        return _describe(checkpoint, replicas, engine, conversion, self_check)

    def _read(self) -> tuple[Checkpoint, list[Model], Conversion, SelfCheck | None]:
        """Load a replica for each worker. Replicas on the same device are the same object.

        The first is compared with the answers that the folder promises, in float32.
        """
        checkpoint = read_checkpoint(self._folder, self.name)
        self.checkpoint = checkpoint
        settings = self._settings
        models: dict[str, Model] = {}
        self_check: SelfCheck | None = None
        for device in dict.fromkeys(settings.device.split(",")):
            requested, modality = settings.dtypes.get(self.name), checkpoint.modality
            choice = choose_precision(settings.dtype, requested, modality, torch.device(device))
            models[device] = load_model(checkpoint, device=device)
            self_check = self_check or self._check_answers(checkpoint, models[device])
            conversion = convert(models[device], choice)
            if device != "cpu":
                torch.cuda.synchronize(device)  # because workers launch on streams of their own
        worker_devices = settings.devices(generates=isinstance(models[device], Generator))
        return checkpoint, [models[device] for device in worker_devices], conversion, self_check

    def _check_answers(self, checkpoint: Checkpoint, model: Model) -> SelfCheck | None:
        """Compare a model with the answers that its folder promises.

        Raises:
            CheckpointError: they differ, and the promise is binding.
        """
        outcome = check_answers(checkpoint, model)
        if outcome is not None and not outcome.agrees:
            if outcome.is_binding:
                raise CheckpointError(outcome.describe(self.name))
            log.warning(outcome.describe(self.name), extra={"model": self.name})
        return outcome


def _describe(
    checkpoint: Checkpoint,
    replicas: Sequence[Model],
    engine: Engine,
    conversion: Conversion,
    self_check: SelfCheck | None,
) -> LoadedModel:
    model = replicas[0]
    latent_shape: tuple[int, ...] = ()
    scores: tuple[str, ...] = ()
    samplers: tuple[str, ...] = ()
    if isinstance(model, Autoencoder):
        latent_shape, scores, samplers = model.latent_shape, model.scores, model.samplers
    return LoadedModel(
        engine=engine,
        latents=VectorCodec(latent_shape),
        scores=scores,
        samplers=samplers,
        labels=model.labels,
        generation_defaults=model.generation_defaults if isinstance(model, Generator) else GenerationDefaults(),
        n_parameters=model.n_parameters,
        memory_bytes=sum(replica.memory_bytes for replica in set(replicas)),
        unused_weights=checkpoint.unused,
        missing_heads=list(checkpoint.missing_heads),
        conversion=conversion,
        text=describe_text_model(checkpoint, model),
        self_check=self_check,
    )
