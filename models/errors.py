"""What can go wrong below the service.

ModelsError
├── CatalogueError        a family folder breaks the rules of the tree
├── ConfigError           a hyperparameter has a value its family cannot take
├── CheckpointError       a checkpoint folder is missing, damaged, or does not fit its family
└── InvalidItems          a caller's items cannot become tensors: wrong shape, range, type or parameter
    └── UndecodableItems  … because their bytes are not what they claim to be
"""

from dataclasses import dataclass


class ModelsError(Exception):
    """Base of every error this package raises on purpose."""


class CatalogueError(ModelsError):
    """A folder without `FAMILY`, or one whose id differs from its path."""


class ConfigError(ModelsError):
    """Names the hyperparameter, its value and the limit."""


class CheckpointError(ModelsError):
    """Names the file and, where one is to blame, the key."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one item. `index` is its place among the items, None where all of them are meant."""

    detail: str
    index: int | None = None


class InvalidItems(ModelsError):
    """Names each refused item, its value and the limit; the items not named are fine."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.detail for problem in problems))
        self.problems = problems


class UndecodableItems(InvalidItems):
    """The bytes of an item are no image, no array, no base64."""
