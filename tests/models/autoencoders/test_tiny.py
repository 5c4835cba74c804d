"""The tiny autoencoder: equal to `AutoencoderTiny` of diffusers, and strict about what it reads."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoint import load_model, read_checkpoint
from models.errors import CheckpointError
from tests.models.autoencoders.diffusers_reference import (
    WEIGHTS,
    assert_close,
    change,
    change_weights,
    ours,
    publish,
)

ODD: dict[str, dict[str, Any]] = {
    "narrow": {
        "encoder_block_out_channels": (6, 6, 6),
        "decoder_block_out_channels": (4, 4, 4),
        "num_encoder_blocks": (1, 0, 2),
        "num_decoder_blocks": (2, 1, 1),
    },
    "grey": {
        "in_channels": 1,
        "out_channels": 1,
        "latent_channels": 5,
        "encoder_block_out_channels": (3, 3),
        "decoder_block_out_channels": (5, 5),
        "num_encoder_blocks": (0, 1),
        "num_decoder_blocks": (0, 2),
        "act_fn": "silu",
    },
    "deep": {
        "latent_channels": 16,
        "encoder_block_out_channels": (4,) * 5,
        "decoder_block_out_channels": (4,) * 5,
        "num_encoder_blocks": (1, 1, 1, 1, 2),
        "num_decoder_blocks": (1, 2, 1, 1, 1),
        "act_fn": "gelu",
    },
    "one size": {
        "encoder_block_out_channels": (7,),
        "decoder_block_out_channels": (7,),
        "num_encoder_blocks": (2,),
        "num_decoder_blocks": (3,),
        "act_fn": "mish",
    },
}
TAESD: dict[str, Any] = {
    "_class_name": "AutoencoderTiny",
    "_diffusers_version": "0.20.0.dev0",
    "act_fn": "relu",
    "block_out_channels": [64, 64, 64, 64],
    "decoder_block_out_channels": [64, 64, 64, 64],
    "encoder_block_out_channels": [64, 64, 64, 64],
    "force_upcast": False,
    "in_channels": 3,
    "latent_channels": 4,
    "latent_magnitude": 3,
    "latent_shift": 0.5,
    "num_decoder_blocks": [3, 3, 3, 1],
    "num_encoder_blocks": [1, 3, 3, 3],
    "out_channels": 3,
    "scaling_factor": 1.0,
    "upsampling_scaling_factor": 2,
}
"""The published configuration of TAESD. Its successors for SD 3 and FLUX have 16 latent channels and a shift."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    publish(tmp_path / "mine", "AutoencoderTiny", **ODD["narrow"])
    return tmp_path / "mine"


@pytest.mark.parametrize("name", ODD)
def test_it_computes_what_diffusers_computes(name: str, tmp_path: Path) -> None:
    expected = publish(tmp_path, "AutoencoderTiny", **ODD[name])
    model = ours(tmp_path)
    pictures = torch.rand(3, model.input_shape[0], 3 * model.scale, 2 * model.scale)
    assert_close(model.latents_of(list(pictures)), expected.encode(pictures * 2 - 1).latents)
    latents = 4 * torch.randn(3, model.latent_shape[0], 3, 2)
    assert_close(model.decode(latents) * 2 - 1, expected.decode(latents).sample)


@pytest.mark.parametrize(("n_latent_channels", "shift"), [(4, {}), (16, {"shift_factor": 0.0})])
def test_the_published_configurations_load_and_answer(
    n_latent_channels: int, shift: dict[str, float], tmp_path: Path
) -> None:
    config = {**TAESD, "latent_channels": n_latent_channels, **shift}
    expected = publish(tmp_path, "AutoencoderTiny", latent_channels=n_latent_channels)
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = ours(tmp_path)
    assert model.n_parameters == sum(parameter.numel() for parameter in expected.parameters())
    picture = torch.rand(3, 64, 40)
    assert_close(model.latents_of([picture]), expected.encode(picture[None] * 2 - 1).latents)


def test_a_file_in_float16_is_read_where_it_is_the_only_one(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    halves = {name: weight.half() for name, weight in weights.items()}
    save_file(halves, folder / "diffusion_pytorch_model.fp16.safetensors")
    assert_close(load_model(read_checkpoint(folder)).state_dict()["encoder.0.bias"], weights["encoder.layers.0.bias"])
    (folder / WEIGHTS).unlink()
    loaded = load_model(read_checkpoint(folder)).state_dict()["encoder.0.bias"]
    assert torch.equal(loaded, halves["encoder.layers.0.bias"].float())


def test_shards_are_read(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    parts = {"a.safetensors": list(weights)[::2], "b.safetensors": list(weights)[1::2]}
    for file, names in parts.items():
        save_file({name: weights[name] for name in names}, folder / file)
    weight_map = {name: file for file, names in parts.items() for name in names}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert torch.equal(ours(folder).state_dict()["encoder.0.weight"], weights["encoder.layers.0.weight"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"upsample_fn": "bilinear"}, "upsample_fn is 'bilinear'; it must be 'nearest'"),
        ({"upsampling_scaling_factor": 3}, "upsampling_scaling_factor is 3; it must be 2"),
        ({"act_fn": "leaky_relu"}, "act_fn is 'leaky_relu'; it must be one of relu, gelu"),
        ({"act_fn": 3}, "act_fn is 3; it must be a string"),
        ({"in_channels": 4, "out_channels": 4}, "in_channels is 4; it must be 1"),
        ({"out_channels": 1}, "out_channels is 1; it must be in_channels, 3"),
        ({"latent_channels": 0}, "latent_channels is 0; it must be positive"),
        ({"latent_channels": "4"}, "latent_channels is '4'; it must be a whole number"),
        ({"latent_channels": 2**25}, "latent_channels is 33554432; it must be at most"),
        ({"num_encoder_blocks": [1, 1]}, "num_decoder_blocks is .*a list of 2 numbers, as n_encoder_blocks is"),
        ({"num_encoder_blocks": [1, "1", 1]}, "num_encoder_blocks is .*; it must be a list of whole numbers"),
        ({"num_encoder_blocks": 3}, "num_encoder_blocks is 3; it must be a list of whole numbers"),
        ({"num_decoder_blocks": [1, -1, 1]}, "num_decoder_blocks is .*; it must be 0 or more each"),
        ({"encoder_block_out_channels": [6, 6]}, "encoder_block_out_channels is .*; it must have 3 numbers"),
        ({"encoder_block_out_channels": [6, 7, 6]}, "encoder_block_out_channels is .*one whole number, repeated"),
        ({"scaling_factor": 0}, "scaling_factor is 0; it must be other than 0"),
        ({"use_deconvolution": True, "bend": 1}, r"unknown keys \['bend', 'use_deconvolution'\]"),
        ({"_class_name": "AutoencoderUnknown"}, "_class_name is 'AutoencoderUnknown'; known are .*AutoencoderTiny"),
    ],
)
def test_a_configuration_with_another_meaning_is_refused(values: dict[str, Any], message: str, folder: Path) -> None:
    change(folder, **values)
    with pytest.raises(CheckpointError, match=f"^mine/config.json: {message}"):
        read_checkpoint(folder)


def test_missing_and_unknown_weights_are_named(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.update(more=weights.pop("decoder.layers.0.bias")))
    with pytest.raises(CheckpointError, match=r"missing \['decoder.layers.0.bias'\]; unexpected \['more'\]"):
        load_model(read_checkpoint(folder))


def test_a_pickle_is_refused(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"no diffusion_pytorch_model\.safetensors: a pickle can run any code"):
        load_model(read_checkpoint(folder))
