"""Build the requests that benchmarks of a server send, as bytes."""

import io
import json

import numpy as np
import orjson

from benchmarks.server.load import http_request

AUTOENCODER, ENCODER = "vanilla-ae-mnist", "sentence-mini-en"
TEXT = "A dog runs through the grass."
IMAGE = np.random.default_rng(0).random((28, 28), dtype=np.float32)
JSON_TYPE, NPY_TYPE = "application/json", "application/x-npy"


def reconstruct_json_request() -> bytes:
    """Return a request to `/reconstruct` with an image of 28x28 random pixels in JSON, answered in JSON."""
    body = orjson.dumps({"inputs": [IMAGE]}, option=orjson.OPT_SERIALIZE_NUMPY)
    return http_request("/reconstruct", body, {"content-type": JSON_TYPE})


def reconstruct_npy_request() -> bytes:
    """Return a request to `/reconstruct` with an image of 28x28 random pixels in npy, answered in npy."""
    file = io.BytesIO()
    np.save(file, IMAGE[None])
    return http_request("/reconstruct", file.getvalue(), {"content-type": NPY_TYPE, "accept": NPY_TYPE})


def encode_request(model: str = ENCODER, text: str = TEXT) -> bytes:
    """Return a request to `/encode` with one text, answered in JSON."""
    return http_request("/encode", json.dumps({"model": model, "inputs": [text]}).encode(), {"content-type": JSON_TYPE})
