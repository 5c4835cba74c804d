"""The weights and hyperparameters of EnCodec's published folders: both spellings, and what is refused by name."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.checkpoint import read_checkpoint
from models.errors import CheckpointError
from tests.models.autoencoders.encodec_folders import publish
from tests.models.autoencoders.test_encodec import CONFIGS, ours
from tests.models.transformers.reference import change, change_weights

OLD_NAMES = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
"""The names of the magnitude and the direction of a weight before version 2.1 of PyTorch, by those since then."""


def respelled(name: str, *, old: bool) -> str:
    """Return the name of a parameter in the old or the present spelling of normalised weights."""
    for present, before in OLD_NAMES.items():
        name = name.replace(present, before) if old else name.replace(before, present)
    return name


def test_both_spellings_of_normalised_weights_load(tmp_path: Path) -> None:
    publish(tmp_path, CONFIGS["causal"])
    stored = load_file(tmp_path / "model.safetensors")
    states = []
    for old in (False, True):
        weights = {respelled(name, old=old): weight for name, weight in stored.items()}
        assert sum(name.endswith("weight_g") for name in weights) == (20 if old else 0)
        save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
        states.append(ours(tmp_path).state_dict())
    assert all(torch.equal(weight, states[1][name]) for name, weight in states[0].items())


def add_old_spelling(weights: dict[str, Tensor]) -> None:
    weights |= {respelled(name, old=True): weight.clone() for name, weight in weights.items()}


def spoil_magnitude(weights: dict[str, Tensor]) -> None:
    name = respelled("encoder.layers.0.conv.weight_g", old=False)
    weights[name] = weights[name][:3].clone()


def drop_direction(weights: dict[str, Tensor]) -> None:
    del weights[respelled("decoder.layers.0.conv.weight_v", old=False)]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (add_old_spelling, "are the same weight, which is stored twice"),
        (spoil_magnitude, r"original0 has the shape \[3, 1, 1\]; that of .*original1 needs \[4, 1, 1\]"),
        (drop_direction, "missing .*decoder.layers.0.conv.parametrizations.weight.original1"),
        (lambda weights: weights.pop("encoder.layers.0.conv.bias"), "missing .*encoder.layers.0.conv.bias"),
        (lambda weights: weights.update({"encoder.layers.99.conv.bias": torch.ones(1)}), "unexpected .*layers.99"),
        (lambda weights: weights.update({"projection.weight": torch.ones(1)}), "unexpected .*projection.weight"),
    ],
    ids=["twice", "other magnitude", "no direction", "no bias", "another layer", "another network"],
)
def test_weights_that_do_not_fit_are_named(edit: Any, message: str, tmp_path: Path) -> None:
    publish(tmp_path, CONFIGS["causal"])
    change_weights(
        tmp_path,
        lambda weights: [weights.update({respelled(name, old=False): weights.pop(name)}) for name in list(weights)],
    )
    ours(tmp_path)
    change_weights(tmp_path, edit)
    with pytest.raises(CheckpointError, match=message):
        ours(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"norm_type": "layer_norm"}, "norm_type is 'layer_norm'; it must be one of weight_norm, time_group_norm"),
        ({"pad_mode": "circular"}, "pad_mode is 'circular'; it must be one of reflect"),
        ({"codebook_dim": 7}, "codebook_dim is 7; it must be hidden_size, 12"),
        ({"codebook_size": 33}, "codebook_size is 33; it must be a power of 2"),
        ({"audio_channels": 3}, "audio_channels is 3; it must be 1 or 2"),
        ({"chunk_length_s": 1.0}, "overlap is missing"),
        ({"chunk_length_s": 1.0, "overlap": 1.0}, "overlap is 1.0; it must be at least 0 and below 1"),
        ({"use_causal_conv": False, "trim_right_ratio": 0.5}, "trim_right_ratio is 0.5; it must be 1 unless"),
        ({"target_bandwidths": [3.0, 1.5]}, "bandwidths is .*; it must be a list of positive numbers in ascending"),
        ({"target_bandwidths": [0.1]}, "bandwidths is .*; it must be such that the largest is 0.5 to 127.5 kbit/s"),
        ({"target_bandwidths": "all"}, "target_bandwidths is 'all'; it must be a list of numbers"),
        ({"upsampling_ratios": [2.5]}, "upsampling_ratios is .*; it must be a list of whole numbers"),
        ({"num_filters": "8"}, "num_filters is '8'; it must be a whole number"),
        ({"num_lstm_layers": 2000}, "num_lstm_layers is 2000; it must be at most 1024"),
    ],
    ids=str,
)
def test_a_refusal_names_the_key_of_the_file(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    publish(tmp_path / "mine", CONFIGS["causal"])
    change(tmp_path / "mine", **values)
    with pytest.raises(CheckpointError, match=f"^mine/config.json: .*{message}"):
        read_checkpoint(tmp_path / "mine")
