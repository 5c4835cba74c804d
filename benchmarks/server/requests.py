"""Build the requests that benchmarks of a server send, as bytes.

If the variable MANIFOLD_KEY is set, they send this key.
"""

import io
import json
import os

import numpy as np
import orjson

from benchmarks.server.http_client import http_request

AUTOENCODER, ENCODER = "vanilla-ae-mnist", "sentence-mini-en"
TEXT = "A dog runs through the grass."
IMAGE = np.random.default_rng(0).random((28, 28), dtype=np.float32)
JSON_TYPE, NPY_TYPE = "application/json", "application/x-npy"


def reconstruct_json_request() -> bytes:
    """Return a request to `/reconstruct` with an image of 28x28 random pixels in JSON, answered in JSON."""
    body = orjson.dumps({"inputs": [IMAGE]}, option=orjson.OPT_SERIALIZE_NUMPY)
    return http_request("/reconstruct", body, _headers(JSON_TYPE))


def reconstruct_npy_request() -> bytes:
    """Return a request to `/reconstruct` with an image of 28x28 random pixels in npy, answered in npy."""
    file = io.BytesIO()
    np.save(file, IMAGE[None])
    return http_request("/reconstruct", file.getvalue(), _headers(NPY_TYPE, accept=NPY_TYPE))


def encode_request(model: str = ENCODER, text: str = TEXT) -> bytes:
    """Return a request to `/encode` with one text, answered in JSON."""
    return http_request("/encode", json.dumps({"model": model, "inputs": [text]}).encode(), _headers(JSON_TYPE))


def _headers(content_type: str, **others: str) -> dict[str, str]:
    key = os.environ.get("MANIFOLD_KEY")
    return {"content-type": content_type, **others, **({"authorization": f"Bearer {key}"} if key else {})}
