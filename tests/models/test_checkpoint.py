"""Folders in the project's own format: reading, and refusals that name the file and the key."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoint import Checkpoint, find_checkpoints, load_model, read_checkpoint, write_metrics
from models.errors import CheckpointError
from tests.conftest import write_tiny


@pytest.fixture
def tiny(tmp_path: Path) -> Checkpoint:
    return write_tiny(tmp_path)


def edit(tiny: Checkpoint, **changes: Any) -> None:
    """Change keys of config.json; None removes one."""
    file = tiny.folder / "config.json"
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def rewrite(tiny: Checkpoint, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the tensors, and the digest with them."""
    file = tiny.folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    edit(tiny, sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def replace_bytes(tiny: Checkpoint, data: bytes, *, with_digest: bool) -> None:
    (tiny.folder / "model.safetensors").write_bytes(data)
    if with_digest:
        edit(tiny, sha256=hashlib.sha256(data).hexdigest())


def refused(tiny: Checkpoint, message: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(message)) as error:
        load_model(read_checkpoint(tiny.folder))
    assert str(tiny.folder.parent) not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 1}, "tiny-ae/config.json: format is 1; this version reads 2"),
        ({"format": None}, "tiny-ae/config.json lacks the key 'format'"),
        ({"sha256": None}, "tiny-ae/config.json lacks the key 'sha256'"),
        ({"family": "autoencoders/none"}, "tiny-ae/config.json: unknown family 'autoencoders/none'"),
        ({"config": {"depth": 3}}, "tiny-ae/config.json: unknown hyperparameters ['depth']"),
        ({"config": [1]}, "tiny-ae/config.json"),
        (
            {"default_for": "encode"},
            "tiny-ae/config.json: default_for is 'encode'; it must be a list of names of tasks",
        ),
        ({"default_for": ["encode", "rerank"]}, "tiny-ae: default_for names 'rerank'; the checkpoint serves encode, "),
        ({"known_failings": 3}, "tiny-ae/config.json: known_failings is 3; it must be a text"),
        (
            {"config": {"input_shape": [1, 4, 4], "hidden_widths": [8, 10**18], "latent_width": 2}},
            f"VanillaConfig.hidden_widths is (8, {10**18}); it must be at most 16777216",
        ),
        (
            {"config": {"input_shape": [1, 4, 4], "hidden_widths": [2**24, 2**24], "latent_width": 2}},
            "weights; it must be at most 68719476736",
        ),
        (
            {"config": {"input_shape": [2**24] * 3, "hidden_widths": [2**24], "latent_width": 2}},
            "tiny-ae/config.json: such a model cannot be built",
        ),
        (
            {"codec": {"modality": "smell", "shape": [1]}},
            "codec.modality is 'smell'; it must be image, series, table, table_series or vector",
        ),
        ({"codec": {"modality": "image", "shape": [4, 4]}}, "an image has [1 or 3 channels, height, width]"),
        (
            {"codec": {"modality": "image", "shape": "big"}},
            "codec.shape is 'big'; it must be a list of positive integers",
        ),
        ({"codec": {"modality": "image", "shape": [1, 5, 5]}}, "codec.shape is (1, 5, 5), the model takes (1, 4, 4)"),
    ],
)
def test_a_wrong_config_is_refused(tiny: Checkpoint, changes: dict[str, Any], message: str) -> None:
    edit(tiny, **changes)
    refused(tiny, message)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", '"config"', "[" * 100_000])
def test_a_config_that_is_no_json_object_is_refused(tiny: Checkpoint, text: str) -> None:
    (tiny.folder / "config.json").write_text(text)
    refused(tiny, "tiny-ae/config.json")


def test_missing_files_are_named(tiny: Checkpoint) -> None:
    (tiny.folder / "model.safetensors").unlink()
    refused(tiny, "tiny-ae/model.safetensors is missing")
    (tiny.folder / "config.json").unlink()
    refused(tiny, "tiny-ae/config.json is missing")


def test_a_missing_key(tiny: Checkpoint) -> None:
    rewrite(tiny, lambda tensors: tensors.pop("encoder.1.0.bias"))
    refused(tiny, "does not fit the model: missing ['encoder.1.0.bias']")


def test_an_extra_key(tiny: Checkpoint) -> None:
    rewrite(tiny, lambda tensors: tensors.update(stowaway=torch.zeros(1)))
    refused(tiny, "does not fit the model: unexpected ['stowaway']")


def test_a_wrong_shape(tiny: Checkpoint) -> None:
    rewrite(tiny, lambda tensors: tensors.update({"encoder.1.0.bias": torch.zeros(9)}))
    refused(tiny, "encoder.1.0.bias has the shape [9] where the model has [8]")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused(tiny: Checkpoint, value: float) -> None:
    rewrite(tiny, lambda tensors: tensors["encoder.1.0.bias"].fill_(value))
    refused(tiny, "tiny-ae/model.safetensors: NaN or infinity is in ['encoder.1.0.bias'], cast to float32")


def test_every_single_flipped_bit_is_noticed(tiny: Checkpoint) -> None:
    whole = (tiny.folder / "model.safetensors").read_bytes()
    for place in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        replace_bytes(tiny, bytes(damaged), with_digest=False)
        refused(tiny, "tiny-ae/model.safetensors has the SHA-256")


@pytest.mark.parametrize("length", [0, 4, 8, 100, -1])
def test_a_truncated_file_is_refused_even_with_its_own_digest(tiny: Checkpoint, length: int) -> None:
    whole = (tiny.folder / "model.safetensors").read_bytes()
    replace_bytes(tiny, whole[:length], with_digest=True)
    refused(tiny, "tiny-ae/model.safetensors is not a whole safetensors file")


def test_a_pickle_is_never_opened(tiny: Checkpoint) -> None:
    replace_bytes(tiny, b"\x80\x04cposix\nsystem\nX\x04\x00\x00\x00true\x85R.", with_digest=True)
    refused(tiny, "is not a whole safetensors file")


def test_half_precision_weights_are_computed_in_single(tiny: Checkpoint) -> None:
    exact = load_model(tiny)
    rewrite(tiny, lambda tensors: tensors.update({key: tensor.half() for key, tensor in tensors.items()}))
    model = load_model(read_checkpoint(tiny.folder))
    for key, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, exact.state_dict()[key], rtol=1e-3, atol=1e-3)


def test_a_loaded_model_is_ready_to_serve(tiny: Checkpoint) -> None:
    model = load_model(tiny)
    assert not model.training
    assert not any(parameter.requires_grad or parameter.is_meta for parameter in model.parameters())


def test_metrics_are_written_and_read(tiny: Checkpoint) -> None:
    write_metrics(tiny.folder, {"test_mse": 0.25}, default_for=["encode"], known_failings="It is random.")
    again = read_checkpoint(tiny.folder)
    assert again.metrics == {"test_mse": 0.25}
    assert (again.default_for, again.known_failings) == (("encode",), "It is random.")
    assert again.sha256 == tiny.sha256


def test_checkpoints_are_found_by_name(tmp_path: Path) -> None:
    for name in ("b-ae", "a-ae"):
        write_tiny(tmp_path, name)
    (tmp_path / "autoencoders/vanilla/empty").mkdir()
    assert [folder.name for folder in find_checkpoints(tmp_path)] == ["a-ae", "b-ae"]
    assert find_checkpoints(tmp_path / "nowhere") == []
