"""What the convolutional autoencoder minimises: the squared error of its reconstructions (Masci et al. 2011)."""

from models.layers.losses import squared_error

__all__ = ["squared_error"]
