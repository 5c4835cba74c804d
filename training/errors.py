"""The errors that training and evaluation raise on purpose.

TrainingError
├── DataError       a data set is missing, damaged, or could not be downloaded
├── UnknownRecipe   no recipe of that name
└── StateError      the saved state of a run belongs to another recipe, seed or parent
"""


class TrainingError(Exception):
    """Base of every error this package raises on purpose."""


class DataError(TrainingError):
    """Raised when a data set or a needed checkpoint is missing or damaged; names the file and what is wrong with it."""


class UnknownRecipe(TrainingError):
    """Raised when no recipe has the given name; lists the recipes there are."""


class StateError(TrainingError):
    """Raised when the saved state belongs to another run; names the folder of the state."""
