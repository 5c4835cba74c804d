"""The loss of the vanilla autoencoder: the squared error of its reconstructions."""

from models.objectives import squared_error

__all__ = ["squared_error"]
