"""Draw the maps of latent spaces that the playground shows: `python -m training.latent_maps DATA NAME...`.

A map has the latents of MNIST test digits, and a place in the plane for each of them, so that digits with similar
latents are near each other. It has none of the pictures. DATA is a folder with the subfolder `mnist`; the names are
those of shipped autoencoders of digits. The layout needs scikit-learn.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
from numpy.typing import NDArray

from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import find_checkpoints, load_model, read_checkpoint
from training.cli import WEIGHTS
from training.data.files import DataFolder
from training.data.mnist import DIGITS, mnist_images, mnist_labels
from training.errors import DataError
from training.metrics import latents

FOLDER = Path(__file__).parents[1] / "app/static/playground/maps"
INDEX = "index.json"
"""Name of the file that lists the models that have a map."""
N_DIGITS = 1000
SIDE = 1000
"""Side of a map; places are integers from 0 to this."""
LEVELS = 127
"""Largest magnitude of a latent's element as it is written, in units of the element's scale."""
SPACING_QUANTILE = 0.99
"""Share of the digits whose nearest neighbour is at most the map's `spacing` away."""


def main(data: Path, names: list[str]) -> None:
    """Write a map for each name, and the list of all maps in the folder."""
    folder = DataFolder(data, download=False)
    images, digits = mnist_images(folder).test[:N_DIGITS], mnist_labels(folder).test[:N_DIGITS]
    FOLDER.mkdir(exist_ok=True)
    for name in names:
        checkpoint = next((read_checkpoint(each) for each in find_checkpoints(WEIGHTS) if each.name == name), None)
        if checkpoint is None:
            raise DataError(f"no checkpoint in {WEIGHTS} is named {name}")
        codes = latents(cast("Autoencoder", load_model(checkpoint)), list(images)).flatten(1).numpy()
        drawn = {"model": name, "sha256": checkpoint.sha256, **latent_map(codes, [DIGITS[digit] for digit in digits])}
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(drawn, separators=(",", ":")) + "\n")
        click.echo(f"{path}: {path.stat().st_size:,} bytes")
    maps = sorted(path.stem for path in FOLDER.glob("*.json") if path.name != INDEX)
    (FOLDER / INDEX).write_text(json.dumps(maps) + "\n")


def latent_map(codes: NDArray[np.float32], labels: list[str]) -> dict[str, Any]:
    """Return the map of latents `[n, width]` with these labels.

    - `labels`: the labels, one character each.
    - `places`: `[n, 2]`, from 0 to `SIDE`.
    - `spacing`: a distance to the nearest digit that few places of digits exceed; see `SPACING_QUANTILE`.
    - `scales`, `latents`: the scale of each element, and the base64 of the elements of all latents in units of these,
      as signed bytes.
    """
    places = _layout(codes)
    scales = np.maximum(np.abs(codes).max(0), 1e-6) / LEVELS
    return {
        "labels": "".join(labels),
        "places": places.tolist(),
        "spacing": round(_spacing(places), 1),
        "scales": [float(f"{scale:.4g}") for scale in scales],
        "latents": base64.b64encode(np.rint(codes / scales).astype(np.int8).tobytes()).decode(),
    }


def _layout(codes: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return places in the plane by t-SNE (van der Maaten and Hinton 2008), stretched to fill the map."""
    from sklearn.manifold import TSNE

    points = TSNE(init="pca", random_state=0, perplexity=min(30, len(codes) / 4)).fit_transform(codes)
    low, high = points.min(0), points.max(0)
    return np.asarray(np.rint((points - low) / (high - low) * SIDE), dtype=np.int64)


def _spacing(places: NDArray[np.int64]) -> float:
    from sklearn.neighbors import NearestNeighbors

    distances, _ = NearestNeighbors(n_neighbors=2).fit(places).kneighbors(places)  # the first of each is its own place
    return float(np.quantile(distances[:, 1], SPACING_QUANTILE))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
