"""The interface of recipes: how a checkpoint is trained, stage by stage, and how it is measured."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

import training.recipes
from models.checkpoint import find_checkpoints, load_model, read_checkpoint
from models.family import FamilyConfig, Model
from training.data.files import DataFolder
from training.errors import DataError, UnknownRecipe

Batch = tuple[Tensor, ...]
ModelT = TypeVar("ModelT", bound=Model)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Required value of a metric, `must`, and a desired one, `aim`, which is shown but not enforced."""

    must: float
    aim: float | None = None
    higher_is_better: bool = False

    def holds(self, value: float) -> bool:
        """Return whether `value` meets `must`."""
        return value >= self.must if self.higher_is_better else value <= self.must


@dataclass(frozen=True)
class Resources:
    """The data sets and shipped checkpoints that training and measurements read.

    The folder `cache` is for results that take long to compute and can be computed again.
    """

    data: DataFolder
    weights: Path
    cache: Path = Path("runs/cache")

    def model(self, name: str) -> Model:
        """Load another shipped checkpoint, to start from or to compare with.

        Raises:
            DataError: no checkpoint has that name.
        """
        for folder in find_checkpoints(self.weights):
            if folder.name == name:
                return load_model(read_checkpoint(folder))
        raise DataError(f"the checkpoint {name} is needed, but is not in {self.weights}")


class Stage(ABC, Generic[ModelT]):
    """One part of a training run: its items, its optimisers and its loss.

    A stage object holds no state of a run. State that must persist between steps beside the model and the optimisers,
    such as persistent chains, averaged weights or a head that only training needs, goes into the module that `begin`
    returns, the companion. It is saved with the model and dropped at the end of the stage.
    """

    name: str
    n_epochs: int
    batch_size: int
    unit: str = "items"
    """Unit that the progress line counts in."""
    units_per_item: float = 1.0
    """Number of units in an item."""
    autocast: bool = True
    """Whether to compute products in bfloat16 where the device is fast at it."""
    max_gradient_norm: float | None = None
    """Largest norm of the gradient of all parameters together; longer gradients are clipped to it."""

    @abstractmethod
    def items(self, resources: Resources) -> Batch:
        """Return the training items as tensors of equal length, such as images and labels."""

    def begin(self, model: ModelT, items: Batch) -> nn.Module:
        """Prepare the model and return the companion; draws come from torch's global generator."""
        return nn.Module()

    def total_steps(self, n_items: int) -> int:
        """Return the number of steps; by default, the complete batches of `n_epochs` epochs."""
        return self.n_epochs * (n_items // self.batch_size)

    @abstractmethod
    def optimisers(self, model: ModelT, companion: nn.Module) -> list[torch.optim.Optimizer]:
        """Return the optimisers of the model, and of what is trained of the companion, at their peak learning rates."""

    def learning_rate(self, progress: float) -> float:
        """Return the factor on the peak rates once the fraction `progress` in [0, 1) of all steps is done.

        By default it rises linearly over the first 2% and then falls linearly to zero.
        """
        return min(1.0, progress / 0.02) * (1.0 - progress)

    @abstractmethod
    def loss(self, model: ModelT, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """Return the scalar loss of a batch; all random draws but dropout's come from `generator`, on the CPU."""

    def after_step(self, model: ModelT, companion: nn.Module, progress: float) -> None:
        """Run after each step, once the fraction `progress` in (0, 1] of all steps is done; does nothing by default."""
        return

    def end(self, model: ModelT, companion: nn.Module) -> None:
        """Run after the last step; does nothing by default."""
        return


@dataclass
class History:
    """The loss curve of a stage, as the mean loss up to each of `steps`, and the time it took in seconds."""

    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class TrainedModel:
    """A model at the end of its run, with the history of each stage by name."""

    model: Model
    histories: Mapping[str, History]


class Recipe(ABC):
    """How one checkpoint is trained and measured: a module in `training/recipes` whose `RECIPE` is an instance.

    `bars` are requirements on metrics. The model card is made of `summary`, `metrics` (what each metric of `evaluate`
    means), `procedure` (data and training) and `limits`; `short_description` and `headline` are those of the README's
    table. In `procedure` and `headline`, `{name:.5f}` is replaced by the value of a metric.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    config: ClassVar[FamilyConfig]
    licence: ClassVar[str] = "Apache-2.0"
    stored_dtype: ClassVar[torch.dtype] = torch.float16
    n_folds: ClassVar[int] = 0
    """Number of cross-validation runs; the k-th leaves out every `n_folds`-th item, beginning with item k."""
    stages: ClassVar[Sequence[Stage[Any]]]
    bars: ClassVar[Mapping[str, Bar]] = {}
    metrics: ClassVar[Mapping[str, str]]
    default_for: ClassVar[tuple[str, ...]] = ()
    """Names of the tasks that the checkpoint serves where a request names no model."""
    short_description: ClassVar[str]
    headline: ClassVar[str]
    summary: ClassVar[str]
    procedure: ClassVar[str]
    limits: ClassVar[str]
    known_failings: ClassVar[str]
    """The gist of `limits` in one line, which `GET /models/{id}` shows."""
    data_licence: ClassVar[str]

    def initialise(self, model: Model, resources: Resources) -> None:
        """Give a new model its initial weights; by default it keeps those it was built with."""
        return

    @abstractmethod
    def evaluate(self, model: Model, resources: Resources) -> dict[str, float]:
        """Return every metric of the model card, measured on data that the shipped `model` was never trained on."""

    @abstractmethod
    def write(self, folder: Path, run: TrainedModel, folds: Sequence[TrainedModel], resources: Resources) -> None:
        """Write the checkpoint of the run's model into the folder; `folds` are the runs of the cross-validation."""

    @abstractmethod
    def describe(self, folder: Path, model: Model, metrics: Mapping[str, float], resources: Resources) -> None:
        """Write the metrics, pictures and card of the shipped `model` into its folder."""


@cache
def recipes() -> dict[str, Recipe]:
    """Return every recipe by the name of its checkpoint."""
    modules = (
        importlib.import_module(f"training.recipes.{m.name}")
        for m in pkgutil.iter_modules(training.recipes.__path__)
        if not m.name.startswith("_")
    )
    return {module.RECIPE.name: module.RECIPE for module in modules}


def get_recipe(name: str) -> Recipe:
    """Return the recipe of the checkpoint `name`.

    Raises:
        UnknownRecipe: there is none; the error lists the recipes there are.
    """
    try:
        return recipes()[name]
    except KeyError:
        raise UnknownRecipe(f"no recipe is named {name!r}; there are {', '.join(sorted(recipes()))}") from None
