"""The loss of the denoising autoencoder: the squared error between its reconstructions and the clean items.

The loss of its classifier is the cross-entropy. Source: Vincent et al. 2010, section 2.3.
"""

from models.objectives import squared_error

__all__ = ["squared_error"]
