"""Descriptions of models in the form of Ollama."""

from typing import Any

from app.registry.served_model import ServedModel
from app.routes.ollama.dialect import timestamp
from app.schemas.foreign.ollama_models import OllamaDetails, OllamaModel, OllamaRunningModel, OllamaShowAnswer

FORMAT = "safetensors"
TEMPLATE = "{{ .Prompt }}"


def describe_model(model: ServedModel) -> OllamaModel:
    """Return a model as the list of models shows it."""
    checkpoint = model.checkpoint
    return OllamaModel(
        name=model.name,
        model=model.name,
        modified_at=_modified_at(model),
        size=(checkpoint.n_weight_bytes or 0) if checkpoint else 0,
        digest=_digest(model),
        details=_details(model),
    )


def describe_running_model(model: ServedModel, *, on_gpu: bool) -> OllamaRunningModel:
    """Return a model in memory as the list of these shows it."""
    memory = model.loaded.memory_bytes if model.loaded else 0
    return OllamaRunningModel(
        name=model.name,
        model=model.name,
        size=memory,
        digest=_digest(model),
        details=_details(model),
        expires_at=None,
        size_vram=memory if on_gpu else 0,
        context_length=_context_length(model),
    )


def show_model(model: ServedModel) -> OllamaShowAnswer:
    """Return all that this dialect can say about a model."""
    text = model.loaded.text if model.loaded else None
    own = {} if text is None else text.generation_defaults
    is_encoder_of_texts = "encode" in model.task_names and _context_length(model) is not None
    return OllamaShowAnswer(
        license=(model.checkpoint.licence or "") if model.checkpoint else "",
        modelfile="",
        parameters="\n".join(f"{name} {value}" for name, value in own.items()),
        template=TEMPLATE,
        details=_details(model),
        model_info=_model_info(model),
        capabilities=["completion"] * ("generate" in model.task_names) + ["embedding"] * is_encoder_of_texts,
        modified_at=_modified_at(model),
    )


def _model_info(model: ServedModel) -> dict[str, Any]:
    family = _family(model)
    info: dict[str, Any] = {"general.architecture": family}
    if (n_tokens := _context_length(model)) is not None:
        info[f"{family}.context_length"] = n_tokens
    if loaded := model.loaded:
        info["general.parameter_count"] = loaded.n_parameters
        if loaded.text is not None:
            info[f"{family}.embedding_length"] = loaded.text.embedding_width
    return info


def _details(model: ServedModel) -> OllamaDetails:
    family = _family(model)
    return OllamaDetails(
        parent_model="",
        format=FORMAT,
        family=family,
        families=[family] if family else [],
        parameter_size=_short_number(model.loaded.n_parameters) if model.loaded else "",
        quantization_level=model.loaded.conversion.precision if model.loaded else "",
    )


def _family(model: ServedModel) -> str:
    return model.checkpoint.spec.id.rpartition("/")[2] if model.checkpoint else ""


def _digest(model: ServedModel) -> str:
    return (model.checkpoint.sha256 or "") if model.checkpoint else ""


def _modified_at(model: ServedModel) -> str | None:
    at_s = model.checkpoint.modified_at if model.checkpoint else None
    return None if at_s is None else timestamp(at_s)


def _context_length(model: ServedModel) -> int | None:
    checkpoint = model.checkpoint
    return checkpoint.item_shape[0] if checkpoint is not None and checkpoint.modality == "text" else None


def _short_number(number: int) -> str:
    """Return a number as `7.2B`, `1.2M` or `840K`."""
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= unit:
            return f"{number / unit:.1f}{name}"
    return str(number)
