"""What can go wrong while training or evaluating.

TrainingError
├── DataError       a data set is missing, damaged, or could not be downloaded
├── UnknownRecipe   no recipe of that name
└── StateError      the saved state of a run belongs to another recipe, seed or parent
"""


class TrainingError(Exception):
    """Base of every error this package raises on purpose."""


class DataError(TrainingError):
    """Names the file and what is wrong with it."""


class UnknownRecipe(TrainingError):
    """Lists the recipes there are."""


class StateError(TrainingError):
    """Names the state's folder."""
