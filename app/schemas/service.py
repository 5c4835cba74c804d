"""What the server says of itself: its models, its health, its limits."""

from typing import Any

from pydantic import BaseModel, Field

from app.registry.registry import Registry
from app.registry.served_model import ServedModel, State
from app.settings import Settings


class Items(BaseModel):
    """The items a model takes."""

    modality: str
    shape: list[int]


class ModelCard(BaseModel):
    """One model. What needs its checkpoint is null while that cannot be read, what needs memory while unloaded."""

    id: str
    state: State
    reason: str | None = Field(None, description="Why it failed.")
    family: str | None = None
    title: str | None = None
    tasks: list[str] = []
    item: Items | None = None
    latent_shape: list[int] | None = None
    labels: list[str] | None = Field(None, description="Its classes.")
    scores: list[str] | None = Field(None, description="What `/detect-anomalies` can score by, the default first.")
    samplers: list[str] | None = Field(None, description="What `/sample` can draw by, the default first.")
    parameters: int | None = Field(None, description="Trainable numbers.")
    dtype: str | None = Field(None, description="What it computes in.")
    dtype_reason: str | None = Field(None, description="Why.")
    cosine_to_float32: float | None = Field(
        None, description="The least cosine of what `/encode` makes of 16 random items to what it is in float32."
    )
    memory_bytes: int | None = Field(
        None, description="Memory of weights and calibration; of a model that generates, its cache comes on top."
    )
    queued_items: int | None = Field(None, description="Items waiting at this moment.")
    running_sequences: int | None = Field(None, description="Texts that are being generated at this moment.")
    unused_weights: list[str] | None = Field(
        None, description="Parameters of the checkpoint that belong to heads the model has no task for."
    )
    metrics: dict[str, float] = Field({}, description="As measured on the shipped file; see its model card.")
    licence: str | None = None
    sha256: str | None = Field(None, description="Digest of the weights file.")


class ModelList(BaseModel):
    """Every model the server knows."""

    models: list[ModelCard]


class Health(BaseModel):
    """Whether the server lives or is ready, and the state of each model."""

    status: str
    models: dict[str, State] = {}


class Info(BaseModel):
    """The server's version and every limit."""

    version: str
    torch: str
    device: str
    default_models: dict[str, str] = Field(description="Model of each task where a request names none.")
    limits: dict[str, int]


LIMITS = (
    "max_body_bytes",
    "max_items",
    "max_pixels",
    "max_queue_items",
    "max_batch_elements",
    "max_batch_tokens",
    "max_running_sequences",
    "max_prefix_tokens",
    "max_characters",
    "inline_bytes",
    "default_timeout_ms",
    "max_timeout_ms",
    "restart_max_wait_ms",
    "probe_every_ms",
    "stuck_after_ms",
    "drain_ms",
    "shutdown_timeout_s",
    "keep_alive_s",
    "torch_threads",
)


def card(model: ServedModel) -> ModelCard:
    """All that is known of a model now."""
    content: dict[str, Any] = {"id": model.name, "state": model.state, "reason": model.reason}
    if checkpoint := model.checkpoint:
        content |= {
            "family": checkpoint.spec.id,
            "title": checkpoint.spec.title,
            "tasks": model.task_names,
            "item": Items(modality=checkpoint.modality, shape=list(checkpoint.item_shape)),
            "metrics": dict(checkpoint.metrics),
            "licence": checkpoint.licence,
            "sha256": checkpoint.sha256,
        }
    if loaded := model.loaded:
        content |= {
            "latent_shape": list(loaded.latents.shape),
            "labels": list(loaded.labels),
            "scores": list(loaded.scores),
            "samplers": list(loaded.samplers),
            "parameters": loaded.n_parameters,
            "dtype": loaded.lowered.precision,
            "dtype_reason": loaded.lowered.reason,
            "cosine_to_float32": loaded.lowered.cosine,
            "memory_bytes": loaded.memory_bytes,
            "queued_items": loaded.engine.n_queued,
            "running_sequences": loaded.engine.n_running,
            "unused_weights": loaded.unused_weights,
        }
    return ModelCard(**content)


def cards(registry: Registry) -> ModelList:
    """Every model."""
    return ModelList(models=[card(model) for model in registry.models.values()])


def readiness(registry: Registry, *, draining: bool) -> Health:
    """`ready` only if every wanted model serves and the server is not shutting down."""
    status = "draining" if draining else "ready" if registry.ready else "unready"
    return Health(status=status, models={name: model.state for name, model in registry.models.items()})


def info(registry: Registry, settings: Settings, *, version: str, torch_version: str) -> Info:
    """Versions, defaults and limits."""
    return Info(
        version=version,
        torch=torch_version,
        device=settings.device,
        default_models=registry.default_models,
        limits={name: getattr(settings, name) for name in LIMITS},
    )
