"""The choice of the models that serve requests which name none. It is made once, when the server starts."""

from collections.abc import Collection, Iterable
from typing import Literal

from app.errors import InvalidRequest
from app.registry.served_model import ServedModel
from app.settings import Settings

Kind = Literal["text", "image", "sound", "item"]
"""The kind of a request's inputs: texts, encoded images, files of sound, or anything else, such as numbers,
latents and streams."""
DefaultModels = dict[str, dict[Kind, str]]
"""Names of the default models, by the name of the task and the kind of inputs."""


def kinds_of(model: ServedModel) -> tuple[Kind, ...]:
    """Return the kinds of inputs that a model takes; all of them if its checkpoint cannot be read."""
    if model.checkpoint is None:
        return ("text", "image", "sound", "item")
    if model.checkpoint.modality in ("text", "sentence"):
        return ("text",)
    encoded: dict[str, Kind] = {"image": "image", "audio": "sound"}
    kind = encoded.get(model.checkpoint.modality)
    return ("item",) if kind is None else (kind, "item")


def choose_defaults(models: Iterable[ServedModel], settings: Settings, wanted: Collection[str]) -> DefaultModels:
    """Return the default model of each task and kind of inputs.

    It is the model that the setting `default_models` names; else, of the models that are to be loaded, the first of the
    setting `model` that serves the task; else the one that declares itself the best for the task; else the first by
    name. Models that are not to be loaded come last.

    Raises:
        InvalidRequest: the setting gives a task to a model that does not serve it.
    """
    known, own = list(models), list(settings.model)

    def rank(model: ServedModel, task: str) -> tuple[object, ...]:
        place = own.index(model.name) if model.name in own else len(own)
        is_declared = model.checkpoint is not None and task in model.checkpoint.default_for
        return model.name not in wanted, place, not is_declared, model.name

    defaults: DefaultModels = {}
    for task in sorted({task for model in known for task in model.task_names}):
        serving = [model for model in known if task in model.task_names]
        best_last = sorted(serving, key=lambda model: rank(model, task), reverse=True)
        defaults[task] = {kind: model.name for model in best_last for kind in kinds_of(model)}
    by_name = {model.name: model for model in known}
    for task, name in settings.default_models.items():
        model = by_name[name]
        if model.checkpoint and task not in model.task_names:
            served = ", ".join(model.task_names)
            raise InvalidRequest(f"default_models gives {task} to {name}, which does not serve it; it serves {served}")
        defaults.setdefault(task, {}).update(dict.fromkeys(kinds_of(model), name))
    return defaults


def default_name(defaults: DefaultModels, task: str, kind: Kind) -> str | None:
    """Return the name of the default model of a task for inputs of this kind; None if there is none."""
    by_kind = defaults.get(task, {})
    return by_kind.get(kind) or (by_kind.get("text") if kind == "item" else None)  # an item may be ids of tokens
