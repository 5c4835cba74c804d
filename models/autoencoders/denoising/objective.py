"""What the denoising autoencoder minimises: the squared error of its reconstructions, against the clean items.

Source: Vincent et al. 2010, section 2.3. The classifier grown from it minimises cross-entropy.
"""

from models.objectives import squared_error

__all__ = ["squared_error"]
