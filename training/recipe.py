"""What a recipe says: how one checkpoint is trained, and how it is measured."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor

import training.recipes
from models.family import FamilyConfig, Model
from training.data.files import DataFolder
from training.errors import UnknownRecipe


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The project's own demand on a metric where less is better: `must` holds, `aim` would be fine."""

    must: float
    aim: float


class Recipe(ABC):
    """One checkpoint's training. A recipe is a module in `training/recipes` whose `RECIPE` is an instance."""

    name: ClassVar[str]
    family: ClassVar[str]
    config: ClassVar[FamilyConfig]
    codec: ClassVar[Mapping[str, Any]]
    licence: ClassVar[str] = "Apache-2.0"
    stored_dtype: ClassVar[torch.dtype] = torch.float16
    seed: ClassVar[int] = 0
    n_epochs: ClassVar[int]
    batch_size: ClassVar[int]
    bars: ClassVar[Mapping[str, Bar]]

    @abstractmethod
    def training_items(self, data: DataFolder) -> Tensor:
        """Everything that is trained on, `[n, ...]`."""

    @abstractmethod
    def initialise(self, model: Model) -> None:
        """Draw the first weights from torch's global generator."""

    @abstractmethod
    def optimisers(self, model: Model) -> list[torch.optim.Optimizer]:
        """Optimisers at their peak learning rates."""

    @abstractmethod
    def learning_rate(self, progress: float) -> float:
        """The factor on the peak rates once the fraction `progress` in [0, 1) of all steps is done."""

    @abstractmethod
    def loss(self, model: Model, items: Tensor, generator: torch.Generator) -> Tensor:
        """The scalar to minimise on one batch; whatever is drawn at random comes from `generator` (on the CPU)."""

    @abstractmethod
    def evaluate(self, model: Model, data: DataFolder) -> dict[str, float]:
        """Every metric of the model card, from data never trained on."""

    @abstractmethod
    def picture(self, model: Model, data: DataFolder) -> bytes:
        """A PNG for the model card."""

    @property
    @abstractmethod
    def card(self) -> str:
        """The model card in Markdown; `{name}` of each metric is filled in."""


@cache
def recipes() -> dict[str, Recipe]:
    """Every recipe by its checkpoint's name."""
    modules = (
        importlib.import_module(f"training.recipes.{m.name}") for m in pkgutil.iter_modules(training.recipes.__path__)
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
