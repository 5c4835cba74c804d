"""The errors of this package.

ModelsError
├── CatalogueError        a family folder breaks the rules of the source tree
├── ConfigError           a hyperparameter has a value that its family does not accept
├── CheckpointError       a checkpoint folder is missing, damaged, or does not fit its family
└── InvalidItems          items of a request cannot become tensors: wrong shape, range, type or parameter
    └── UndecodableItems  the bytes of an item are not of the format that they claim to be
"""

from dataclasses import dataclass


class ModelsError(Exception):
    """Base class of every error that this package raises on purpose."""


class CatalogueError(ModelsError):
    """A folder of a kind declares no `FAMILY`, or declares one whose id differs from the folder's path."""


class ConfigError(ModelsError):
    """A hyperparameter is out of range. The message names the hyperparameter, its value and the limit.

    Attributes:
        hyperparameter: its name without that of its class, if a single one is to blame.
        fault: its value and the limit.
    """

    def __init__(self, message: str, hyperparameter: str = "", fault: str = "") -> None:
        super().__init__(message)
        self.hyperparameter, self.fault = hyperparameter, fault


class CheckpointError(ModelsError):
    """A checkpoint cannot be used. The message names the file and, if one is to blame, the key.

    Attributes:
        key: the key that is to blame, where the message does not name the file yet; None if it does or no key is.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason to refuse an item or a parameter of a request.

    Attributes:
        detail: the reason, which names the value and the limit.
        index: the position of the item in the request; None if all items are refused.
        parameter: the parameter to blame, or the path to its part, such as `stop/0`; None if the items are to blame.
    """

    detail: str
    index: int | None = None
    parameter: str | None = None


class InvalidItems(ModelsError):
    """Some items are refused. Each problem names an item, its value and the limit; the other items are valid."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.detail for problem in problems))
        self.problems = problems


class UndecodableItems(InvalidItems):
    """The bytes of an item are not an image, an array or base64."""
