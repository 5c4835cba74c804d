"""The protocol of `diffusers.utils.remote_utils`: latents are decoded and pictures are encoded, as raw tensors.

dialect     the form of errors
tensors     raw tensors from requests, and into answers
decoding    answering `remote_decode`
encoding    answering `remote_encode`
routes      the routes
"""

from app.routes.diffusers.dialect import DIALECT
from app.routes.diffusers.routes import router

__all__ = ["DIALECT", "router"]
