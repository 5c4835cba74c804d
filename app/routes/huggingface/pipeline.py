"""What a pipeline is: one task of the Hugging Face Inference API, in terms of the native tasks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.routes.foreign import Reply
from app.schemas.foreign.huggingface.base import PipelineBody
from app.schemas.shared.parsing import nested_models
from models.checkpoint import Checkpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class NativeCall:
    """A call of a native task: its name with underscores, its inputs and its parameters."""

    task: str
    inputs: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pipeline:
    """A task of the API.

    Attributes:
        name: its name in the API, such as `fill-mask`.
        tasks: the native tasks of which a model must serve at least one.
        modality: the kind of the items that a model must have.
        form: what the inputs are, in words.
        body: the model of its body.
        takes: returns whether inputs have the right form.
        suits: returns whether inputs of the right form are likely to be meant for it; a text without a mask is not
            likely to be meant for `fill-mask`.
        to_native: converts a body into a call; it may raise InvalidRequest.
        from_native: converts the outputs of a call into the answer.
        names: for pointers of native errors, such as `parameters/stride`, what the body has in their place.
        is_picture: whether the answer is a picture.
    """

    name: str
    tasks: tuple[str, ...]
    modality: str
    form: str
    body: type[PipelineBody]
    takes: Callable[[Any], bool]
    to_native: Callable[[Any, Checkpoint], NativeCall]
    from_native: Callable[[Any, Reply], Any]
    names: Mapping[str, str] = field(default_factory=dict)
    suits: Callable[[Any, Checkpoint], bool] = lambda inputs, checkpoint: True
    is_picture: bool = False

    def is_served_by(self, checkpoint: Checkpoint) -> bool:
        """Return whether a model serves the pipeline."""
        return checkpoint.modality == self.modality and any(task in checkpoint.task_names for task in self.tasks)

    def knows_fields(self, values: Mapping[str, Any]) -> bool:
        """Return whether the body has all fields and parameters that are given."""
        fields = nested_models(self.body)
        parameters = values.get("parameters")
        kind = fields["parameters"]
        known = kind.model_fields if kind else {}
        names = (
            [name for name, value in parameters.items() if value is not None] if isinstance(parameters, dict) else []
        )
        return set(values) <= set(fields) and set(names) <= set(known)


def is_single(body: Any) -> bool:
    """Return whether a body has one input and not a list of them."""
    return not isinstance(body.inputs, list)


def list_inputs(body: Any) -> list[Any]:
    """Return the inputs of a body as a list, objects as plain values."""
    inputs = body.inputs if isinstance(body.inputs, list) else [body.inputs]
    return [each if isinstance(each, str | bytes) else each.model_dump() for each in inputs]


def given_parameters(body: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters of a body under their native names; `names` has the API's name for each native one."""
    return {native: getattr(body.parameters, own, None) for native, own in names.items()}


def pointers(names: Mapping[str, str]) -> dict[str, str]:
    """Return the names of parameters as pointers, those of the native body to those of the API's."""
    return {f"parameters/{native}": f"parameters/{own}" for native, own in names.items()}
