"""The answers of the routes about the server itself: its models, its health and its limits."""

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, Field

from app.registry.loaded_model import LoadedModel
from app.registry.registry import Registry
from app.registry.served_model import ServedModel, State
from app.schemas.catalogue import task_endpoints
from app.schemas.model_items import ModelItem, describe_items, limits_of
from app.settings import Settings


class ItemDrift(BaseModel):
    """How far the last items that a model has scored are from those that it was fitted to."""

    n_items: int = Field(description="Number of the last items, or rows of series, that were looked at.")
    low_p_share: float = Field(
        description="Share of them whose p-value is below 0.01; of items like the held-out ones, it is 0.01."
    )
    stability_index: dict[str, float] = Field(
        description="Population stability index of each column: below 0.1 little has changed, and above 0.25 much. "
        "Empty for items without columns."
    )


class SelfCheck(BaseModel):
    """Comparison of a model's answers, in float32, with those that its folder promises."""

    source: str = Field(description="File with the expected numbers: `expected.json`, or the model card `README.md`.")
    agrees: bool = Field(description="Whether no number differs by more than the tolerance.")
    n_numbers: int = Field(description="Number of numbers that were compared.")
    largest_difference: float = Field(description="Largest absolute difference of two numbers.")
    tolerance: float = Field(description="Largest difference that is allowed.")
    changed_files: list[str] = Field(
        description="Files that changed since the expected numbers were computed; looked for only if they differ."
    )


class ModelCard(BaseModel):
    """What the server knows about a model.

    Fields that come from the checkpoint are null while it cannot be read; those that come from the loaded model are
    null while it is not loaded.
    """

    id: str = Field(description="Id of the model, by which requests name it.")
    state: State = Field(
        description="State of the model. An `idle` model is not in memory, and the next request for it loads it."
    )
    reason: str | None = Field(None, description="Why the model failed, or could not be loaded; null unless it did.")
    family: str | None = Field(None, description="Family of the model, such as `autoencoders/variational`.")
    title: str | None = Field(None, description="Name of the family in words.")
    tasks: list[str] = Field([], description="Names of the tasks that the model serves.")
    item: ModelItem | None = Field(None, description="The items that the model takes.")
    limits: dict[str, int] = Field(
        {},
        description="Limits of one request to the model: `max_items`, and by the kind of items: `max_tokens` ("
        "with special and generated ones), `max_characters`, `max_pixels` (of all encoded images), "
        "`max_picture_pixels` (of one picture), `max_audio_seconds` or `max_length` (steps of a series).",
    )
    known_failings: str | None = Field(None, description="What the model is known to do badly; see its model card.")
    latent_shape: list[int] | None = Field(
        None, description="Shape of a latent; -1 stands for a side that depends on the item."
    )
    embedding_width: int | None = Field(None, description="Number of elements of the embedding of a text.")
    pooling: list[str] | None = Field(
        None,
        description="How the vectors of a text's tokens become its embedding, unless a request says otherwise; several "
        "ways are concatenated.",
    )
    normalize: bool | None = Field(
        None, description="Whether the embedding is scaled to unit length, unless a request says otherwise."
    )
    similarity: str | None = Field(None, description="How `/similarity` compares two embeddings.")
    prompts: dict[str, str] | None = Field(
        None, description="Prompts that `prompt_name` may choose, by name; each stands before a text."
    )
    default_prompt_name: str | None = Field(
        None, description="Name of the prompt that stands before a text unless a request chooses another."
    )
    tokenizer_class: str | None = Field(
        None, description="Tokenizer class whose rules apply; empty if the checkpoint names none."
    )
    has_token_types: bool | None = Field(
        None, description="Whether the tokens of a pair's second text have another type than those of the first."
    )
    generation_defaults: dict[str, Any] | None = Field(
        None,
        description="Values of the parameters of `/generate` and `/translate` that requests leave out, where the "
        "checkpoint has its own, by their names in `generation_config.json`: there, `n` is `num_return_sequences`.",
    )
    labels: list[str] | None = Field(None, description="Names of the model's classes.")
    scores: list[str] | None = Field(
        None, description="Scores that `/detect-anomalies` can compute, starting with the default."
    )
    samplers: list[str] | None = Field(
        None, description="Samplers that `/sample` can draw with, starting with the default."
    )
    lossless: bool | None = Field(
        None, description="Whether `/compress` can compress without loss: items of zeros and ones, or sentences."
    )
    parameters: int | None = Field(None, description="Number of trainable parameters.")
    dtype: str | None = Field(None, description="Data type that the model computes in.")
    dtype_reason: str | None = Field(None, description="Why the model computes in this data type.")
    cosine_to_float32: float | None = Field(
        None,
        description="Smallest cosine, over 16 random items, between the model's output for an item and its output in "
        "float32.",
    )
    memory_bytes: int | None = Field(
        None,
        description="Memory of the weights and the calibration, without the cache of generation, in bytes.",
    )
    queued_items: int | None = Field(None, description="Number of items that are waiting at this moment.")
    running_sequences: int | None = Field(None, description="Number of texts that are being generated at this moment.")
    unused_weights: list[str] | None = Field(
        None, description="Names of the checkpoint's parameters that the model does not use."
    )
    missing_heads: list[str] | None = Field(
        None, description="Heads that `config.json` names although the checkpoint has none of their weights."
    )
    label_activation: str | None = Field(
        None,
        description="Function that maps the logits of a text's classes to scores unless a request says otherwise: "
        "`softmax`, `sigmoid` or `none`.",
    )
    self_check: SelfCheck | None = Field(
        None,
        description="Comparison with the answers that the folder promises; null if it promises none. A model that "
        "differs from its `expected.json` fails to load, unless its files have changed since.",
    )
    drift: ItemDrift | None = Field(
        None,
        description="How far the last items of `/detect-anomalies` are from those that the model was fitted to; null "
        "until it has scored 100.",
    )
    metrics: dict[str, float] = Field(
        {}, description="Metrics measured on the published checkpoint; its model card explains them."
    )
    licence: str | None = Field(None, description="Licence of the weights, as an SPDX identifier.")
    sha256: str | None = Field(None, description="SHA-256 digest of the weights file, in hexadecimal.")


class ModelList(BaseModel):
    """Every model that the server knows."""

    models: list[ModelCard] = Field(description="The models.")


class Health(BaseModel):
    """Whether the server is alive or ready, and the state of each model."""

    status: str = Field(description="`alive` of the process; `ready`, `unready` or `draining` of the models.")
    models: dict[str, State] = Field({}, description="State of each model by its id; empty for liveness.")


class Info(BaseModel):
    """Versions, default models and limits of the server."""

    version: str = Field(description="Version of the server.")
    torch: str = Field(description="Version of PyTorch.")
    device: str = Field(description="Device that the models run on.")
    default_models: dict[str, dict[str, str]] = Field(
        description="Id of the model that serves a task where a request names none, by the name of the task and the "
        "kind of the inputs: `text`, `image` (an encoded image) or `item` (anything else). A model that is chosen "
        "stays the default for as long as the server runs."
    )
    limits: dict[str, int] = Field(
        description="Every numeric limit of the server, by the name of the setting; `idle_unload` is in seconds and "
        "`memory_limit` in bytes, and 0 means that there is none."
    )


LIMITS = (
    "requests_per_minute",
    "max_concurrent",
    "idle_unload",
    "memory_limit",
    "max_body_bytes",
    "max_values",
    "max_lists",
    "max_items",
    "max_pixels",
    "max_audio_seconds",
    "image_timeout_ms",
    "image_memory",
    "fit_minutes",
    "fit_memory",
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
"""Names of the settings that `/info` shows as limits."""


def card(model: ServedModel, settings: Settings) -> ModelCard:
    """Return the card of a model, with its present state."""
    content: dict[str, Any] = {"id": model.name, "state": model.state, "reason": model.reason}
    if checkpoint := model.checkpoint:
        content |= {
            "family": checkpoint.spec.id,
            "title": checkpoint.spec.title,
            "tasks": model.task_names,
            "item": describe_items(checkpoint),
            "limits": limits_of(checkpoint, settings),
            "known_failings": checkpoint.known_failings,
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
            "lossless": loaded.is_lossless,
            "parameters": loaded.n_parameters,
            "dtype": loaded.conversion.precision,
            "dtype_reason": loaded.conversion.reason,
            "cosine_to_float32": loaded.conversion.cosine,
            "memory_bytes": loaded.memory_bytes,
            "queued_items": loaded.engine.n_queued,
            "running_sequences": loaded.engine.n_running,
            "unused_weights": loaded.unused_weights,
            "missing_heads": loaded.missing_heads,
            **(asdict(loaded.text) if loaded.text else {}),
            "self_check": loaded.self_check and loaded.self_check.to_dict(),
            "drift": _drift(loaded),
        }
    return ModelCard(**content)


def _drift(loaded: LoadedModel) -> dict[str, Any] | None:
    drift = None if loaded.drift is None else loaded.drift.read()
    return None if drift is None else asdict(drift)


def readiness(registry: Registry, *, draining: bool) -> Health:
    """Return the state of the server: `ready` if every wanted model serves or is idle, unless it is shutting down."""
    status = "draining" if draining else "ready" if registry.ready else "unready"
    return Health(status=status, models={name: model.state for name, model in registry.models.items()})


def info(registry: Registry, settings: Settings, *, version: str, torch_version: str) -> Info:
    """Return versions, default models and limits."""
    return Info(
        version=version,
        torch=torch_version,
        device=settings.device,
        default_models=_default_models(registry),
        limits={name: getattr(settings, name) for name in LIMITS},
    )


def _default_models(registry: Registry) -> dict[str, dict[str, str]]:
    """Return the default models by task, for the kinds of inputs that the task takes."""
    chosen: dict[str, dict[str, str]] = {}
    for endpoint in task_endpoints():
        by_kind = registry.default_models.get(endpoint.name, {})
        chosen |= (
            {endpoint.name: {kind: by_kind[kind] for kind in endpoint.kinds if kind in by_kind}} if by_kind else {}
        )
    return chosen
