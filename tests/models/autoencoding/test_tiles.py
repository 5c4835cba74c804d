"""Large pictures in tiles: the same numbers as of the whole picture, in parts of a bounded size."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from models.autoencoders.tiny import FAMILY
from models.autoencoders.tiny.config import TinyConfig
from models.autoencoders.tiny.model import TinyAutoencoder
from models.autoencoding.tiles import Tiles

CONFIGS = {
    "narrow": FAMILY.tiny[0],
    "shallow": FAMILY.tiny[1],
    "as deep as TAESD": TinyConfig(encoder_width=4, decoder_width=4),
}


def build(config: TinyConfig) -> TinyAutoencoder:
    torch.manual_seed(0)
    return TinyAutoencoder(config).eval().requires_grad_(False)


def with_tiles(model: TinyAutoencoder, **changes: Any) -> Tiles:
    model.use_tiles(dataclasses.replace(model.tiles, **changes))
    return model.tiles


@pytest.mark.parametrize("name", CONFIGS)
def test_a_picture_in_tiles_has_the_numbers_of_the_whole_one(name: str) -> None:
    model = build(CONFIGS[name])
    picture = torch.rand(1, model.input_shape[0], 70 * model.scale, 53 * model.scale)
    latents = torch.randn(1, model.latent_shape[0], 70, 53)
    whole = model.encode(picture), model.decode(latents)
    with_tiles(model, side=9)
    torch.testing.assert_close(model.encode(picture), whole[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.decode(latents), whole[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_less_of_the_surroundings_would_not_be_enough(name: str) -> None:
    model = build(CONFIGS[name])
    latents = torch.randn(1, model.latent_shape[0], 70, 53)
    whole = model.decode(latents)
    with_tiles(model, side=9, halo=1)
    assert not torch.allclose(model.decode(latents), whole, rtol=1e-5, atol=1e-5)


def test_no_part_is_larger_than_a_tile_with_its_surroundings() -> None:
    model = build(CONFIGS["narrow"])
    tiles = with_tiles(model, side=5, halo=2)
    sides: list[tuple[int, int]] = []

    def network(maps: Tensor) -> Tensor:
        sides.append((maps.shape[2], maps.shape[3]))
        return maps

    maps = torch.rand(2, 3, 12, 11)
    assert torch.equal(tiles.apply(network, maps, n_in=1, n_out=1), maps)
    assert sides == [(7, 7), (7, 8), (7, 3), (9, 7), (9, 8), (9, 3), (4, 7), (4, 8), (4, 3)]
    assert model.max_pixels_at_once == (9 * model.scale) ** 2
