"""What a recipe says: how one checkpoint is trained, stage by stage, and how it is measured."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    more: bool = False

    def holds(self, value: float) -> bool:
        """Whether `value` meets `must`."""
        return value >= self.must if self.more else value <= self.must


@dataclass(frozen=True)
class Shelf:
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
    say), are buffers of the module that `begin` returns; it is saved with them and dropped at the end.
    """

    name: str
    n_epochs: int
    batch_size: int
    autocast: bool = True
    """Whether products are computed in bfloat16, where the device has it."""
    max_gradient_norm: float | None = None
    """Longer gradients are shortened to this, all parameters together."""

    @abstractmethod
    def items(self, data: DataFolder) -> Batch:
        """Everything that is trained on: one tensor or several of equal length, such as images and labels."""

    def begin(self, model: ModelT, items: Batch) -> nn.Module:
        """Prepare the model, from torch's global generator where something is drawn; returns the companion."""
        return nn.Module()

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

    def end(self, model: ModelT, companion: nn.Module) -> None:
        """What follows the last step; nothing unless a stage says otherwise."""
        return


class Recipe(ABC):
    """One checkpoint's training. A recipe is a module in `training/recipes` whose `RECIPE` is an instance.

    `bars` are demands on metrics. The card is made of `summary`, `caption` (of the picture), `metrics` (what each
    metric of `evaluate` is), `story` (data and recipe) and `limits`; the README's line of `what` and `headline`. In
    `caption`, `story` and `headline`, `{name:.5f}` stands for a metric.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    config: ClassVar[FamilyConfig]
    codec: ClassVar[Mapping[str, Any]]
    licence: ClassVar[str] = "Apache-2.0"
    stored_dtype: ClassVar[torch.dtype] = torch.float16
    n_seeds: ClassVar[int] = 1
    """Runs, with seeds from 0 on. The first ships as the model, the others beside it, for the metrics."""
    n_folds: ClassVar[int] = 0
    """Runs besides, of which each leaves one part of the items out: every `n_folds`-th, from another one on. See
    `calibration_items`."""
    stages: ClassVar[Sequence[Stage[Any]]]
    percentile: ClassVar[float] = 99.0
    """Of the held-out normal items' scores: the threshold of `/detect-anomalies`."""
    n_components: ClassVar[int] = 20
    """Gaussians in the mixture fitted to the latents."""
    bars: ClassVar[Mapping[str, Bar]] = {}
    metrics: ClassVar[Mapping[str, str]]
    what: ClassVar[str]
    headline: ClassVar[str]
    summary: ClassVar[str]
    caption: ClassVar[str]
    story: ClassVar[str]
    limits: ClassVar[str]
    data_licence: ClassVar[str]

    @abstractmethod
    def calibration_items(self, data: DataFolder) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Items the model was trained on, and the normal ones whose scores are its calibration.

        The model was not trained on those, either; unless there are folds. Then these are the items of the stages, and
        each is scored by the run that left it out, so that no normal item is lost to training.
        """

    @abstractmethod
    def evaluate(self, models: Sequence[Model], shelf: Shelf) -> dict[str, float]:
        """Every metric of the model card, from data never trained on; `models` are those of all seeds."""

    @abstractmethod
    def picture(self, model: Model, shelf: Shelf) -> bytes:
        """A PNG for the model card."""

    @abstractmethod
    def groups(self, data: DataFolder) -> Mapping[str, Sequence[Tensor]]:
        """Items never trained on, by name, for the model card's charts."""


@cache
def recipes() -> dict[str, Recipe]:
    """Every recipe by its checkpoint's name."""
    modules = (
        importlib.import_module(f"training.recipes.{m.name}")
        for m in pkgutil.iter_modules(training.recipes.__path__)
        if not m.name.startswith("_")
    )
    return {module.RECIPE.name: module.RECIPE for module in modules}


def recipe(name: str) -> Recipe:
    """The recipe of that checkpoint.

    Raises:
        UnknownRecipe: there is none; the error lists those there are.
    """
    try:
        return recipes()[name]
    except KeyError:
        raise UnknownRecipe(f"no recipe is named {name!r}; there are {', '.join(sorted(recipes()))}") from None
