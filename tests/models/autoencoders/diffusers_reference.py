"""Autoencoders of the library diffusers with random weights, which ours are compared with."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.autoencoding.pictures import PictureAutoencoder
from models.catalogue import families
from models.checkpoint import load_model, read_checkpoint
from models.family import FamilyConfig, FamilySpec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers

WEIGHTS = "diffusion_pytorch_model.safetensors"
TOLERANCE = 1e-4

CASES: dict[str, tuple[FamilySpec[Any], FamilyConfig]] = {
    f"{family_id.split('/')[1]}-{number}": (spec, config)
    for family_id, spec in families().items()
    if spec.modality == "image" and spec.published is not None
    for number, config in enumerate(spec.tiny)
}
"""The tiny configurations of the families that diffusers publishes."""


def publish(folder: Path, class_name: str, **config: Any) -> Any:
    """Save a random model of a class of diffusers, and return it in evaluation mode."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = getattr(diffusers, class_name)(**config).eval().requires_grad_(False)
        for parameter in model.parameters():
            if parameter.ndim == 1:  # so that no bias is all zeros and no scale all ones
                parameter += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(folder)
    return model


def shapes(class_name: str, **config: Any) -> dict[str, torch.Size]:
    """Return the shapes of the parameters of a model of a class of diffusers, by name."""
    with torch.device("meta"):
        model: Any = getattr(diffusers, class_name)(**config)
    return {name: parameter.shape for name, parameter in model.named_parameters()}


def reference(folder: Path) -> Any:
    """Return the model that diffusers loads from a folder."""
    class_name = json.loads((folder / "config.json").read_text())["_class_name"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = getattr(diffusers, class_name).from_pretrained(folder, local_files_only=True)
        return model.eval().requires_grad_(False)


def ours(folder: Path) -> PictureAutoencoder:
    return cast("PictureAutoencoder", load_model(read_checkpoint(folder)))


def build(spec: FamilySpec[Any], config: FamilyConfig) -> PictureAutoencoder:
    torch.manual_seed(0)
    return cast("PictureAutoencoder", spec.new_model(config).eval().requires_grad_(False))


def write(folder: Path, spec: FamilySpec[Any], config: FamilyConfig, model: PictureAutoencoder) -> None:
    """Write a model in the published format of its family."""
    assert spec.published is not None
    state = model.state_dict()
    stored = {
        name: part for link in spec.published.links(config) for name, part in link.write(state[link.name]).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: part.contiguous() for name, part in stored.items()}, folder / WEIGHTS)
    values = {spec.published.type_key: spec.published.model_type, **spec.published.write_config(config)}
    (folder / "config.json").write_text(json.dumps(values))


def change(folder: Path, **values: Any) -> None:
    """Replace values of `config.json`."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def change_weights(folder: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    """Edit the stored parameters, which are given by name."""
    weights = load_file(folder / WEIGHTS)
    edit(weights)
    save_file(weights, folder / WEIGHTS)


def assert_close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=TOLERANCE, atol=TOLERANCE)
