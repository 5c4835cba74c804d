"""What a recipe says: how one checkpoint is trained, stage by stage, and how it is measured."""

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
    """The project's own demand on a metric: `must` holds, `aim` would be fine. Less is better unless `more`."""

    must: float
    aim: float | None = None
    higher_is_better: bool = False

    def holds(self, value: float) -> bool:
        """Whether `value` meets `must`."""
        return value >= self.must if self.higher_is_better else value <= self.must


@dataclass(frozen=True)
class Resources:
    """Where data sets and shipped checkpoints lie, for measurements."""

    data: DataFolder
    weights: Path

    def model(self, name: str) -> Model:
        """Another shipped checkpoint, as a yardstick.

        Raises:
            DataError: it is not there.
        """
        for folder in find_checkpoints(self.weights):
            if folder.name == name:
                return load_model(read_checkpoint(folder))
        raise DataError(f"the checkpoint {name}, needed as a yardstick, is not in {self.weights}")


class Stage(ABC, Generic[ModelT]):
    """One part of a training: what it runs over and what it minimises.

    A stage has no state of its own. What must outlive a step, beside the model and the optimisers (persistent chains,
    averaged weights), are buffers of the module that `begin` returns; it is saved with them and dropped at the end.
    """

    name: str
    n_epochs: int
    batch_size: int
    unit: str = "items"
    """What the progress line counts, and how many of it an item is."""
    units_per_item: float = 1.0
    autocast: bool = True
    """Whether products are computed in bfloat16, where the device has it."""
    max_gradient_norm: float | None = None
    """Longer gradients are shortened to this, all parameters together."""

    @abstractmethod
    def items(self, resources: Resources) -> Batch:
        """Everything that is trained on: one tensor or several of equal length, such as images and labels."""

    def begin(self, model: ModelT, items: Batch) -> nn.Module:
        """Prepare the model, from torch's global generator where something is drawn; returns the companion."""
        return nn.Module()

    def total_steps(self, n_items: int) -> int:
        """How many batches there are; those of `n_epochs`, unless a stage says otherwise."""
        return self.n_epochs * (n_items // self.batch_size)

    @abstractmethod
    def optimisers(self, model: ModelT) -> list[torch.optim.Optimizer]:
        """Optimisers at their peak learning rates."""

    def learning_rate(self, progress: float) -> float:
        """The factor on the peak rates once the fraction `progress` in [0, 1) of all steps is done.

        Unless a stage says otherwise: a linear rise over the first 2%, then a straight line to zero.
        """
        return min(1.0, progress / 0.02) * (1.0 - progress)

    @abstractmethod
    def loss(self, model: ModelT, batch: Batch, generator: torch.Generator, companion: nn.Module) -> Tensor:
        """The scalar to minimise on one batch; whatever is drawn at random comes from `generator` (on the CPU)."""

    def after_step(self, model: ModelT, companion: nn.Module, progress: float) -> None:
        """What follows each step, the fraction `progress` in (0, 1] of all being done; nothing unless a stage says."""
        return

    def end(self, model: ModelT, companion: nn.Module) -> None:
        """What follows the last step; nothing unless a stage says otherwise."""
        return


@dataclass
class History:
    """How a stage went: the mean loss of the steps up to each of `steps`, and the time all of it took."""

    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class TrainedModel:
    """A model at the end of its run; `histories` are those of its stages, by name."""

    model: Model
    histories: Mapping[str, History]


class Recipe(ABC):
    """One checkpoint's training. A recipe is a module in `training/recipes` whose `RECIPE` is an instance.

    `bars` are demands on metrics. The card is made of `summary`, `metrics` (what each metric of `evaluate` is), `story`
    (data and recipe) and `limits`; the README's line of `what` and `headline`. In `story` and `headline`,
    `{name:.5f}` stands for a metric.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    config: ClassVar[FamilyConfig]
    licence: ClassVar[str] = "Apache-2.0"
    stored_dtype: ClassVar[torch.dtype] = torch.float16
    n_seeds: ClassVar[int] = 1
    """Runs, with seeds from 0 on. The first ships as the model, the others beside it, for the metrics."""
    n_folds: ClassVar[int] = 0
    """Runs besides, of which each leaves one part of the items out: every `n_folds`-th, from another one on."""
    stages: ClassVar[Sequence[Stage[Any]]]
    bars: ClassVar[Mapping[str, Bar]] = {}
    metrics: ClassVar[Mapping[str, str]]
    short_description: ClassVar[str]
    headline: ClassVar[str]
    summary: ClassVar[str]
    procedure: ClassVar[str]
    limits: ClassVar[str]
    data_licence: ClassVar[str]

    def initialise(self, model: Model, resources: Resources) -> None:
        """Give a new model its first weights; those it was built with, unless the recipe says otherwise."""
        return

    @abstractmethod
    def evaluate(self, models: Sequence[Model], resources: Resources) -> dict[str, float]:
        """Every metric of the model card, from data never trained on; `models` are those of all seeds."""

    @abstractmethod
    def write(
        self, folder: Path, runs: Sequence[TrainedModel], folds: Sequence[TrainedModel], resources: Resources
    ) -> None:
        """Make the checkpoint of the runs' models."""

    def load(self, folder: Path) -> list[Model]:
        """The shipped models, in the order of their seeds."""
        return [load_model(read_checkpoint(folder))]

    @abstractmethod
    def describe(self, folder: Path, model: Model, metrics: Mapping[str, float], resources: Resources) -> None:
        """Write what was measured of the shipped `model` beside it: metrics, pictures, card."""


@cache
def recipes() -> dict[str, Recipe]:
    """Every recipe by its checkpoint's name."""
    modules = (
        importlib.import_module(f"training.recipes.{m.name}")
        for m in pkgutil.iter_modules(training.recipes.__path__)
        if not m.name.startswith("_")
    )
    return {module.RECIPE.name: module.RECIPE for module in modules}


def get_recipe(name: str) -> Recipe:
    """The recipe of that checkpoint.

    Raises:
        UnknownRecipe: there is none; the error lists those there are.
    """
    try:
        return recipes()[name]
    except KeyError:
        raise UnknownRecipe(f"no recipe is named {name!r}; there are {', '.join(sorted(recipes()))}") from None
