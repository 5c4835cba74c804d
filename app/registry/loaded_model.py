"""A model in memory: the reading of its weights, its engine, and the requests that use it."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from app.engine.engine import Engine
from app.engine.trace import watch_layers
from app.registry.model_sizes import ModelSizes, SoundNetwork, sizes_of
from app.settings import Settings
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.drift import DriftMonitor
from models.autoencoding.pictures import PictureAutoencoder
from models.cancellation import stop_if_abandoned
from models.checkpoint import Checkpoint, load_model, read_checkpoint
from models.checkpoint.common import CONFIG_FILE, build_without_weights
from models.checkpoint.fingerprint import Fingerprint, fingerprint
from models.checkpoint.self_check import SelfCheck, check_answers
from models.checkpoint.text_description import TextDescription, describe_text_model
from models.codecs import LatentCodec, LatentPictureCodec, TableCodec, TableSeriesCodec, VectorCodec
from models.errors import CheckpointError
from models.family import Model
from models.generation.generator import Generator
from models.precision import Conversion, Precision, PrecisionChoice, choose_precision, convert
from models.product_times import NOT_MEASURED, measure_products
from models.tasks.generation_defaults import GenerationDefaults

log = logging.getLogger(__name__)

WEIGHT_BYTES: dict[Precision, int] = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 2}
"""Estimated memory of a weight in bytes. In int8, embeddings and packed copies make up for what products save."""


class LoadingFailed(Exception):
    """Error: a model could not be started; the message says why. It never leaves the registry."""


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """What was read of a checkpoint: its description, and a replica of the model for each worker.

    Replicas on the same device are the same object.
    """

    checkpoint: Checkpoint
    models: Sequence[Model]
    conversion: Conversion
    self_check: SelfCheck | None
    files: Fingerprint


@dataclass(kw_only=True, eq=False)
class LoadedModel:
    """A model in memory: its engine, and properties that are only known once it is loaded.

    A request uses the same object from the moment it chooses the model until it is answered, so that its tokenizer,
    its network and its labels belong together even if another version takes its place meanwhile.

    Attributes:
        checkpoint: the description of the checkpoint as it was loaded, with its codec.
        files: the fingerprint of the files that it was loaded from.
        is_lossless: whether it can compress items without loss.
        drift: what looks at the items that the model scores; None for models without anomaly scores.
        n_users: number of requests that use the model at this moment.
    """

    checkpoint: Checkpoint
    files: Fingerprint
    engine: Engine
    sizes: ModelSizes
    latents: LatentCodec
    scores: tuple[str, ...]
    samplers: tuple[str, ...]
    is_lossless: bool
    labels: tuple[str, ...]
    generation_defaults: GenerationDefaults
    n_parameters: int
    memory_bytes: int
    conversion: Conversion
    unused_weights: list[str]
    missing_heads: list[str]
    text: TextDescription | None
    self_check: SelfCheck | None
    drift: DriftMonitor | None = None
    n_users: int = 0
    _without_users: asyncio.Event | None = None
    _is_hurried: bool = False

    @property
    def is_idle(self) -> bool:
        """True if no request uses the model and its engine has nothing to do."""
        return self.n_users == 0 and self.engine.is_idle

    def retain(self) -> None:
        """Begin to use the model; the caller must `release` it."""
        self.n_users += 1

    def __enter__(self) -> Self:
        """Use the model, which was acquired; it is released at the end."""
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        """End the use of the model by a request that acquired it."""
        self.n_users -= 1
        if self.n_users == 0 and self._without_users is not None:
            self._without_users.set()

    async def retire(self) -> None:
        """Wait for the requests that use the model, serve what they have submitted, and stop the engine.

        No further request may acquire the model.
        """
        self._without_users = asyncio.Event()
        if self.n_users and not self._is_hurried:
            await self._without_users.wait()
        await self.engine.stop()

    def hurry(self) -> None:
        """Let `retire` wait no longer for requests that have not been submitted; they will be refused."""
        self._is_hurried = True
        if self._without_users is not None:
            self._without_users.set()


def estimate_bytes(folder: Path, name: str, settings: Settings) -> int:
    """Return about how much memory a model will take on all its devices, without reading its weights.

    Raises:
        ModelsError: the checkpoint cannot be read.
    """
    checkpoint = read_checkpoint(folder, name)
    model = build_without_weights(checkpoint.spec, checkpoint.config, f"{name}/{CONFIG_FILE}")
    devices = dict.fromkeys(settings.device.split(","))
    choices = [_choose(checkpoint, settings, model, torch.device(device)) for device in devices]
    return sum(model.n_parameters * WEIGHT_BYTES[choice.precision] for choice in choices)


def read_replicas(folder: Path, name: str, settings: Settings) -> Replicas:
    """Load a replica for each worker, and compare the first with the answers that the folder promises, in float32.

    Raises:
        ModelsError: the checkpoint is damaged, changes while it is read, or cannot run as the settings demand.
    """
    folder = folder.resolve()  # all files are those of one folder, even if a link to it is changed meanwhile
    files = fingerprint(folder)
    checkpoint = read_checkpoint(folder, name)
    models: dict[str, Model] = {}
    self_check: SelfCheck | None = None
    for device in dict.fromkeys(settings.device.split(",")):
        stop_if_abandoned()
        models[device] = load_model(checkpoint, device=device)
        self_check = self_check or _check_answers(checkpoint, models[device])
        stop_if_abandoned()
        conversion = convert(models[device], _choose(checkpoint, settings, models[device], torch.device(device)))
        if settings.tracing:
            watch_layers(models[device])
        if device != "cpu":
            torch.cuda.synchronize(device)  # because workers launch on streams of their own
    if fingerprint(folder) != files:
        raise CheckpointError(f"the files of {name} changed while they were read; load it again once all are in place")
    worker_devices = settings.devices(generates=isinstance(models[device], Generator))
    replicas = [models[device] for device in worker_devices]
    return Replicas(checkpoint=checkpoint, models=replicas, conversion=conversion, self_check=self_check, files=files)


def describe(replicas: Replicas, engine: Engine, max_rows: int) -> LoadedModel:
    """Return the loaded model of an engine that serves these replicas, and generates at most `max_rows` sequences."""
    model, checkpoint = replicas.models[0], replicas.checkpoint
    latents: LatentCodec = VectorCodec(())
    scores: tuple[str, ...] = ()
    samplers: tuple[str, ...] = ()
    is_lossless = False
    drift: DriftMonitor | None = None
    if isinstance(model, Autoencoder):
        latents, scores, samplers = _latents_of(model), model.scores, model.samplers
        is_lossless = model.is_lossless
        if scores:
            drift = DriftMonitor(_rows_of(checkpoint), model.calibration.drift)
    elif isinstance(model, SoundNetwork) and model.calibration is not None:
        scores, drift = model.scores, DriftMonitor()
    return LoadedModel(
        checkpoint=checkpoint,
        files=replicas.files,
        engine=engine,
        sizes=sizes_of(checkpoint, model, max_rows),
        latents=latents,
        scores=scores,
        samplers=samplers,
        is_lossless=is_lossless,
        labels=model.labels,
        generation_defaults=model.generation_defaults if isinstance(model, Generator) else GenerationDefaults(),
        n_parameters=model.n_parameters,
        memory_bytes=sum(replica.memory_bytes for replica in set(replicas.models)),
        unused_weights=checkpoint.unused,
        missing_heads=list(checkpoint.missing_heads),
        conversion=replicas.conversion,
        text=describe_text_model(checkpoint, model),
        self_check=replicas.self_check,
        drift=drift,
    )


def _latents_of(model: Autoencoder) -> LatentCodec:
    """Return the codec of a model's latents."""
    if isinstance(model, PictureAutoencoder):
        return LatentPictureCodec(model.latent_shape[0], model.max_pixels // model.scale**2)
    return VectorCodec(model.latent_shape)


def _rows_of(checkpoint: Checkpoint) -> TableCodec | None:
    """Return the codec of the rows that items are, or are made of; None for other items."""
    codec = checkpoint.codec
    return codec.rows if isinstance(codec, TableSeriesCodec) else codec if isinstance(codec, TableCodec) else None


def _choose(checkpoint: Checkpoint, settings: Settings, model: Model, device: torch.device) -> PrecisionChoice:
    requested, runtime = settings.dtypes.get(checkpoint.name), checkpoint.spec.runtime
    is_measured = checkpoint.modality == "text" and (requested or settings.dtype) == "auto"
    times = measure_products(model, device) if is_measured else NOT_MEASURED
    overflows = checkpoint.overflows_in_float16
    return choose_precision(settings.dtype, requested, checkpoint.modality, device, runtime, times, overflows=overflows)


def _check_answers(checkpoint: Checkpoint, model: Model) -> SelfCheck | None:
    """Compare a model with the answers that its folder promises.

    Raises:
        CheckpointError: they differ, and the promise is binding.
    """
    outcome = check_answers(checkpoint, model)
    if outcome is not None and not outcome.agrees:
        if outcome.is_binding:
            raise CheckpointError(outcome.describe(checkpoint.name))
        log.warning(outcome.describe(checkpoint.name), extra={"model": checkpoint.name})
    return outcome
