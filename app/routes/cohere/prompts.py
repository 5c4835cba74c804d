"""The prompts of a model that tells queries from documents."""

from collections.abc import Mapping, Sequence

from app.registry.served_model import ServedModel
from app.services import Services
from models.codecs import TextCodec

ROLES: Mapping[str, Sequence[str]] = {
    "search_query": ("search_query", "query"),
    "search_document": ("search_document", "document", "passage"),
    "classification": ("classification",),
    "clustering": ("clustering",),
}
"""Names of the prompts for each value of `input_type`, of which the first that a model has is taken."""


def find_model(services: Services, task: str, name: str | None) -> ServedModel:
    """Return the model of that name, or the default model of a task for texts.

    Raises:
        UnknownModel, TaskNotServed, ModelUnavailable: there is none, or it does not serve the task.
    """
    registry = services.registry
    return registry.default_model(task, "text") if name is None else registry.model_for(task, name)


def prompt_for(model: ServedModel, role: str | None) -> str | None:
    """Return the name of the model's prompt for a role, a value of `input_type`; None if it has none."""
    prompts = prompts_of(model)
    return None if role is None else next((name for name in ROLES[role] if name in prompts), None)


def prompts_of(model: ServedModel) -> Mapping[str, str]:
    """Return the prompts of a model by their names; none while its checkpoint cannot be read."""
    codec = model.checkpoint.codec if model.checkpoint else None
    return codec.prompts.by_name if isinstance(codec, TextCodec) else {}
