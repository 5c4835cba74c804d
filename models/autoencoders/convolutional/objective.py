"""The loss of the convolutional autoencoder: the squared error of its reconstructions (Masci et al. 2011)."""

from models.objectives import squared_error

__all__ = ["squared_error"]
