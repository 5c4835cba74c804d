"""The maps of latent spaces: how they are drawn, and that the shipped ones are those of the shipped checkpoints."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.checkpoint import find_checkpoints, read_checkpoint
from training.cli import WEIGHTS
from training.latent_maps import FOLDER, INDEX, N_DIGITS, SIDE, latent_map

SHIPPED = {folder.name: folder for folder in find_checkpoints(WEIGHTS)}
MAPS = json.loads((FOLDER / INDEX).read_text())
MAX_BYTES = 200_000


def read_latents(drawn: dict[str, Any]) -> NDArray[np.float64]:
    levels = np.frombuffer(base64.b64decode(drawn["latents"]), np.int8).reshape(len(drawn["labels"]), -1)
    return levels.astype(np.float64) * np.array(drawn["scales"], dtype=np.float64)


def test_digits_with_similar_latents_are_near_each_other() -> None:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(3, 5)) * 20
    codes = (np.repeat(centres, 40, axis=0) + generator.normal(size=(120, 5))).astype(np.float32)
    drawn = latent_map(codes, [*"0" * 40, *"1" * 40, *"2" * 40])
    places = np.array(drawn["places"])
    assert (places.min(0).tolist(), places.max(0).tolist()) == ([0, 0], [SIDE, SIDE])
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(1)
    assert [drawn["labels"][i] for i in nearest] == list(drawn["labels"])
    assert np.mean(distances.min(1) <= drawn["spacing"] + 0.1) >= 0.98
    scales = np.array(drawn["scales"])
    assert (np.abs(read_latents(drawn) - codes) <= scales * 0.6).all()


@pytest.mark.parametrize("name", MAPS)
def test_a_shipped_map_is_of_the_shipped_checkpoint(name: str) -> None:
    path = FOLDER / f"{name}.json"
    assert path.stat().st_size <= MAX_BYTES
    drawn = json.loads(path.read_text())
    assert drawn["model"] == name
    assert drawn["sha256"] == read_checkpoint(SHIPPED[name]).sha256
    assert len(drawn["labels"]) == len(drawn["places"]) == N_DIGITS
    assert set(drawn["labels"]) == set("0123456789")
    assert np.isfinite(read_latents(drawn)).all()
    assert read_latents(drawn).shape == (N_DIGITS, len(drawn["scales"]))


def test_every_map_is_listed() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json") if path.name != INDEX) == MAPS
