"""The declaration of a family, the interface of its models, and the base of its hyperparameters."""

import dataclasses
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, Self, TypeVar, get_args, get_origin, get_type_hints, runtime_checkable

from torch import Tensor, nn

from models.errors import ConfigError
from models.published import PublishedFormat
from models.published_tokenizer import TokenizerDefaults
from models.tasks import Request, Task

MAX_SIZE = 2**24
"""Maximum value of a hyperparameter that is an integer."""
MAX_BYTES = 2**30
"""Maximum value of a hyperparameter that is the size of a file."""
MAX_LAYERS = 1024
"""Maximum value of a hyperparameter that counts layers, and maximum length of one that is a list."""
_LAYER_COUNTS = ("layers", "blocks", "groups", "blocks_per_group")
"""Endings of the names of hyperparameters that count layers."""


@dataclass(frozen=True, kw_only=True)
class FamilyConfig:
    """Base of the hyperparameters of a family: numbers, strings and tuples of them, as `config.json` holds them."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create a configuration from the values that `to_dict` returned.

        Raises:
            ConfigError: a key is unknown or missing, or a value has the wrong type or is out of range.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"config is {values!r}; it must be an object of hyperparameters")
        known = {field.name: field for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - set(known)):
            raise ConfigError(f"unknown hyperparameters {unknown}; {cls.__name__} has {sorted(known)}")
        required = {name for name, field in known.items() if field.default is dataclasses.MISSING}
        if missing := sorted(required - set(values)):
            raise ConfigError(f"missing hyperparameters {missing} of {cls.__name__}")
        hints = get_type_hints(cls)
        config = cls(**{name: _convert(name, value, hints[name]) for name, value in values.items()})
        config.check_sizes()
        return config

    def to_dict(self) -> dict[str, Any]:
        """Return the hyperparameters in types that JSON has."""
        values = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def require(self, condition: bool, name: str, limit: str) -> None:
        """Raise a ConfigError that names the hyperparameter, its value and the limit, unless `condition` holds."""
        if not condition:
            fault = f"is {getattr(self, name)!r}; it must be {limit}"
            raise ConfigError(f"{type(self).__name__}.{name} {fault}", name, fault)

    def check_sizes(self) -> None:
        """Raise a ConfigError if a number is so large that building the model would take all time or memory."""
        for name, value in dataclasses.asdict(self).items():
            limit = MAX_LAYERS if name.endswith(_LAYER_COUNTS) else MAX_BYTES if name.endswith("_bytes") else MAX_SIZE
            values = value if isinstance(value, tuple) else (value,)
            integers = [number for number in values if type(number) is int]
            self.require(max(integers, default=0) <= limit, name, f"at most {limit}")
            self.require(len(integers) <= MAX_LAYERS, name, f"a list of at most {MAX_LAYERS} numbers")


def _convert(name: str, value: Any, hint: Any) -> Any:
    """Return a value from JSON as the type `hint`: JSON has no tuples, and some programs write 1.0 as 1.

    Raises:
        ConfigError: the value has another type.
    """
    if get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{name} is {value!r}; it must be a list")
        return tuple(_convert(f"{name}[{i}]", element, get_args(hint)[0]) for i, element in enumerate(value))
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{name} is {value!r}; it must be of type {hint.__name__}")
    return value


@runtime_checkable
class PackedWeights(Protocol):
    """A module that keeps its weights in a form that PyTorch does not list among its parameters.

    Attributes:
        n_weights: number of weights; 0 if another module counts them.
        packed_bytes: size of the packed form in bytes.
    """

    n_weights: int
    packed_bytes: int


TaskFunction = Callable[[Any, Sequence[Any]], Sequence[Any]]
"""Takes a model and a batch of requests of one task, and returns one result for each request, in order."""


class Model(nn.Module, ABC):
    """A module that answers the tasks of its family.

    Attributes:
        labels: the names of the classes; empty for models without classes.
        task_functions: the tasks that the model serves, and the functions that answer them.
    """

    labels: tuple[str, ...] = ()
    task_functions: Mapping[Task, TaskFunction] = {}

    def run(self, task: Task, requests: Sequence[Any]) -> Sequence[Any]:
        """Answer a batch of requests of one task: one result for each request, in order.

        Raises:
            KeyError: the model does not serve the task.
        """
        return self.task_functions[task](self, requests)

    def cost_of(self, task: Task, request: Request) -> int:
        """Return the number of elements or tokens that a request adds to a batch: a measure of the work it causes.

        That is the request's own cost, except for tasks with which the model has more work than with reading the
        request.
        """
        return request.cost

    @property
    def n_parameters(self) -> int:
        """Number of parameters, in whatever form they are kept; parameters that are shared count once."""
        counts = [parameter.numel() for parameter in self.parameters()]
        return sum(counts) + sum(module.n_weights for module in self.modules() if isinstance(module, PackedWeights))

    @property
    def memory_bytes(self) -> int:
        """Size of all tensors of the model in bytes; tensors that are shared count once."""
        tensors = [*self.state_dict().values(), *self.extra_tensors()]
        by_place: dict[int, int] = {tensor.data_ptr(): tensor.numel() * tensor.element_size() for tensor in tensors}
        packed = [module.packed_bytes for module in self.modules() if isinstance(module, PackedWeights)]
        return sum(by_place.values()) + sum(packed)

    def extra_tensors(self) -> list[Tensor]:
        """Return the tensors that the model keeps beside its parameters and buffers."""
        return []

    def tie(self) -> None:
        """Make parameters one that are shared by definition; called after they were loaded one by one."""

    def finish_loading(self) -> None:
        """Check and prepare what the model computes with beside its parameters; called once these are loaded.

        Raises:
            CheckpointError: it cannot compute with what was loaded.
        """

    def random_codes(self, n: int) -> Tensor:
        """Return the codes of `n` random items, which are the same each time: `[n, D]`, on the CPU in float32.

        The code of an item is what `/encode` returns, as one row. Codes show how far a lower precision strays.
        """
        raise NotImplementedError(f"{type(self).__name__} has no codes")

    def example(self, task: Task) -> Request:
        """Return a small valid request of a task, for warm-up, health probes and contract tests."""
        raise NotImplementedError(f"{type(self).__name__} shows no example of {task.name}")


ConfigT = TypeVar("ConfigT", bound=FamilyConfig)


@dataclass(frozen=True, kw_only=True)
class FamilySpec(Generic[ConfigT]):
    """The declaration of a family, which its folder assigns to `FAMILY`.

    Attributes:
        id: the path of the folder, such as `autoencoders/vanilla`.
        title: the name of the family for people.
        paper: the publication that describes it.
        config: the class of its hyperparameters.
        build: builds the network with random weights.
        tasks: the tasks of a model with these hyperparameters, and the functions that answer them. Only a model with
            classes classifies, for example.
        tiny: configurations that tests build in milliseconds.
        modality: the kind of items that the configurations of `tiny` take.
        published: how checkpoints of the family are published; None for families that nobody else publishes.
        tokenizer: how the tokenizers of published checkpoints are read; None for families that do not read texts.
        runtime: the library that computes the networks, on the CPU in float32; None for PyTorch.
        variants: further values of `model_type` under which the same network is published, and their tokenizers.
    """

    id: str
    title: str
    paper: str
    config: type[ConfigT]
    build: Callable[[ConfigT], Model]
    tasks: Callable[[ConfigT], Mapping[Task, TaskFunction]]
    tiny: tuple[ConfigT, ...]
    modality: str = "image"
    published: PublishedFormat[ConfigT] | None = None
    tokenizer: TokenizerDefaults | None = None
    runtime: str | None = None
    variants: Mapping[str, TokenizerDefaults] = field(default_factory=dict)

    def new_model(self, config: ConfigT) -> Model:
        """Build a model with random weights that answers the family's tasks."""
        model = self.build(config)
        model.task_functions = self.tasks(config)
        return model
