"""`manifold pull --convert`, against an imitation of the hub."""

import io
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from app.registry.hub import HubId, _unsafe_weights, find_in_cache
from models.checkpoint import load_model, read_checkpoint
from tests.app.registry.stand_in_hub import COMMIT, REPOSITORY, Hub
from tests.app.registry.test_hub import hub as hub  # the fixture
from tests.app.registry.test_hub import pull
from tests.models.autoencoders.diffusers_reference import WEIGHTS, publish
from tests.models.autoencoders.test_tiny import ODD

SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"


def test_a_repository_of_pickles_is_converted_where_the_server_finds_it(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    torch.save(load(hub.files.pop(SAFETENSORS)), file)
    hub.files[PICKLE] = file.getvalue()
    done = pull(hub, tmp_path, options=("--convert",))
    assert done.returncode == 0, done.stderr
    assert f"{PICKLE} -> {SAFETENSORS}: " in done.stdout
    assert f"{REPOSITORY} at {COMMIT}: BERT" in done.stdout
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    load_model(read_checkpoint(find_in_cache(HubId.parse(REPOSITORY)), "tiny"))


@pytest.mark.parametrize(
    ("files", "unsafe"),
    [
        (["config.json", PICKLE, SAFETENSORS], []),
        ([PICKLE, "tf_model.h5", "training_args.bin", "optimizer.pt"], [PICKLE]),
        (["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"], 2),
        ([SAFETENSORS, "1_Pooling/config.json", "2_Dense/pytorch_model.bin"], ["2_Dense/pytorch_model.bin"]),
        (["0_Transformer/pytorch_model.bin", "0_Transformer/model.safetensors"], []),
        (["a/b/pytorch_model.bin", "adapter_model.bin"], []),
        (["diffusion_pytorch_model.bin", "config.json"], ["diffusion_pytorch_model.bin"]),
    ],
)
def test_only_weights_without_safetensors_beside_them_are_downloaded(files: list[str], unsafe: list[str] | int) -> None:
    found = _unsafe_weights(files)
    assert len(found) == unsafe if isinstance(unsafe, int) else found == unsafe


def test_the_pickle_of_a_folder_of_a_pipeline_is_converted(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vae = tmp_path / "source/vae"
    publish(vae, "AutoencoderTiny", **ODD["narrow"])
    file = io.BytesIO()
    torch.save(load((vae / WEIGHTS).read_bytes()), file)
    hub.files = {
        "model_index.json": b"{}",
        "vae/config.json": (vae / "config.json").read_bytes(),
        "vae/diffusion_pytorch_model.bin": file.getvalue(),
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.bin": b"not wanted",
    }
    refused = pull(hub, tmp_path, options=("--subfolder", "vae"))
    assert refused.returncode == 1
    remedy = f"`manifold pull {REPOSITORY} --subfolder vae --convert` converts diffusion_pytorch_model.bin"
    assert f"pickles are never read; {remedy}" in refused.stderr
    done = pull(hub, tmp_path, options=("--subfolder", "vae", "--convert"))
    assert done.returncode == 0, done.stderr
    assert f"diffusion_pytorch_model.bin -> {WEIGHTS}: " in done.stdout
    assert f"{REPOSITORY} at {COMMIT}: Tiny autoencoder; " in done.stdout
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    load_model(read_checkpoint(find_in_cache(HubId.parse(f"{REPOSITORY}:vae")), "tiny-vae"))
    assert not list(tmp_path.glob("hub/models--*/snapshots/*/unet"))
