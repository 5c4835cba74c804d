"""Items for the tiny checkpoint, and the model itself as the reference."""

import base64
import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.autoencoding.autoencoder import FixedShapeAutoencoder
from models.checkpoint import find_checkpoints, load_model, read_checkpoint
from models.family import Model

Floats = NDArray[np.float32]


def images(n: int, seed: int = 0, side: int = 4) -> Floats:
    """`[n, side, side]` in [0, 1]."""
    return np.random.default_rng(seed).random((n, side, side), dtype=np.float32)


def png(image: Floats) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def data_url(image: Floats) -> str:
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


def npy(array: NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def reference(weights: Path, name: str) -> FixedShapeAutoencoder:
    """The model itself, called directly."""
    folder = next(folder for folder in find_checkpoints(weights) if folder.name == name)
    model: Model = load_model(read_checkpoint(folder))
    assert isinstance(model, FixedShapeAutoencoder)
    return model


def reconstructed(model: FixedShapeAutoencoder, batch: Floats) -> Floats:
    """`[n, H, W]` through the model, one at a time."""
    with torch.inference_mode():
        return np.concatenate([model(torch.from_numpy(image)[None, None]).numpy()[:, 0] for image in batch])
