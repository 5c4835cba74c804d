"""EnCodec's networks and codes equal those of transformers, whose folders load as they are."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from models.autoencoders.encodec import FAMILY
from models.autoencoders.encodec.config import EncodecConfig
from models.autoencoders.encodec.model import Encodec
from models.checkpoint import load_model, read_checkpoint
from models.checkpoint.hugging_face import write_published
from models.tasks import DECODE_SOUND, ENCODE_SOUND, RECONSTRUCT_SOUND
from models.tasks.audio import (
    DecodeSoundRequest,
    EncodeSoundRequest,
    ReconstructSoundRequest,
    SoundCodes,
)
from tests.models.autoencoders import encodec_folders
from tests.models.autoencoders.encodec_folders import answers_of, publish, sounds_for
from tests.models.transformers.version_4 import PACKAGES

TOLERANCE = 1e-4
SMALL: dict[str, Any] = {
    "sampling_rate": 800,
    "hidden_size": 12,
    "num_filters": 4,
    "upsampling_ratios": [4, 2],
    "codebook_size": 32,
    "target_bandwidths": [1.0, 2.0, 4.0],
}
CONFIGS: dict[str, dict[str, Any]] = {
    "causal": SMALL,
    "stereo": {
        **SMALL,
        "audio_channels": 2,
        "normalize": True,
        "chunk_length_s": 0.1,
        "overlap": 0.1,
        "norm_type": "time_group_norm",
        "use_causal_conv": False,
        "use_conv_shortcut": False,
    },
    "deep": {
        **SMALL,
        "num_residual_layers": 3,
        "upsampling_ratios": [5, 3, 2],
        "num_lstm_layers": 1,
        "compress": 4,
        "dilation_growth_rate": 3,
        "residual_kernel_size": 5,
        "last_kernel_size": 3,
        "trim_right_ratio": 0.4,
        "pad_mode": "constant",
        "target_bandwidths": [0.2, 1.5],
    },
    "odd": {
        **SMALL,
        "norm_type": "weight_norm",
        "use_causal_conv": False,
        "upsampling_ratios": [3],
        "kernel_size": 5,
        "pad_mode": "replicate",
        "normalize": True,
        "chunk_length_s": 0.075,
        "overlap": 0.1,
        "num_residual_layers": 0,
        "target_bandwidths": [6.7],
    },
}
MONO_24_KHZ: dict[str, Any] = {
    "model_type": "encodec",
    "architectures": ["EncodecModel"],
    "audio_channels": 1,
    "chunk_length_s": None,
    "codebook_dim": 128,
    "codebook_size": 1024,
    "compress": 2,
    "dilation_growth_rate": 2,
    "hidden_size": 128,
    "kernel_size": 7,
    "last_kernel_size": 7,
    "norm_type": "weight_norm",
    "normalize": False,
    "num_filters": 32,
    "num_lstm_layers": 2,
    "num_residual_layers": 1,
    "overlap": None,
    "pad_mode": "reflect",
    "residual_kernel_size": 3,
    "sampling_rate": 24000,
    "target_bandwidths": [1.5, 3.0, 6.0, 12.0, 24.0],
    "torch_dtype": "float32",
    "trim_right_ratio": 1.0,
    "upsampling_ratios": [8, 5, 4, 2],
    "use_causal_conv": True,
}
"""The `config.json` of facebook/encodec_24khz."""
STEREO_48_KHZ: dict[str, Any] = {
    **MONO_24_KHZ,
    "audio_channels": 2,
    "chunk_length_s": 1.0,
    "norm_type": "time_group_norm",
    "normalize": True,
    "overlap": 0.01,
    "sampling_rate": 48000,
    "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
    "use_causal_conv": False,
}
"""The `config.json` of facebook/encodec_48khz."""


def ours(folder: Path) -> Encodec:
    return cast("Encodec", load_model(read_checkpoint(folder)))


def encode(model: Encodec, sound: Tensor, bandwidth: float) -> SoundCodes:
    encoded: SoundCodes = model.run(ENCODE_SOUND, [EncodeSoundRequest(sound=sound, bandwidth=bandwidth)])[0].encoded
    return encoded


def assert_same(encoded: SoundCodes, decoded: Tensor, theirs: dict[str, Tensor]) -> None:
    """Compare codes and a sound with those of the reference, whose last chunk is padded with zeros."""
    n_last = int(theirs["n_last"])
    assert len(encoded.chunks) == len(theirs["codes"])
    for i, (chunk, expected) in enumerate(zip(encoded.chunks, theirs["codes"], strict=True)):
        is_last = i == len(encoded.chunks) - 1
        assert torch.equal(chunk, expected[:, : expected.shape[1] - n_last] if is_last else expected)
    torch.testing.assert_close(torch.tensor(encoded.scales), theirs.get("scales", torch.zeros(0)))
    assert decoded.shape == theirs["sound"].shape
    torch.testing.assert_close(decoded, theirs["decoded"], rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", CONFIGS)
def test_codes_and_sounds_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    reference = publish(tmp_path, CONFIGS[name])
    model = ours(tmp_path)
    n_codes = 0
    for sound in sounds_for(reference):
        for bandwidth in reference.config.target_bandwidths:
            theirs = answers_of(reference, sound, bandwidth)
            encoded = encode(model, sound[0], bandwidth)
            (decoded,) = model.run(DECODE_SOUND, [DecodeSoundRequest(encoded=encoded)])
            assert_same(encoded, decoded.sound, theirs)
            n_codes += len(set(torch.cat(encoded.chunks, 1).flatten().tolist()))
    assert n_codes > 50  # the codes are not all the same


@pytest.mark.parametrize("name", CONFIGS)
def test_the_frames_between_the_networks_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    reference = publish(tmp_path, CONFIGS[name])
    model = ours(tmp_path)
    (sound, *_) = sounds_for(reference)[-1:]
    with torch.inference_mode():
        expected = reference.encoder(sound)
        torch.testing.assert_close(model.encoder(sound), expected, rtol=TOLERANCE, atol=TOLERANCE)
        torch.testing.assert_close(model.decoder(expected), reference.decoder(expected), rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.timeout(300)  # another process imports the other version
def test_folders_of_version_4_give_its_answers(tmp_path: Path) -> None:
    if not PACKAGES.exists() and "CI" not in os.environ:
        pytest.skip(f"{PACKAGES} is missing: `make test` makes it")
    task = tmp_path / "task.json"
    task.write_text(
        json.dumps({"configs": {name: CONFIGS[name] for name in ("causal", "stereo")}, "root": str(tmp_path)})
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, encodec_folders.__file__, str(task)]
    subprocess.run(command, env=environment, check=True, cwd=tmp_path, capture_output=True)
    for name in ("causal", "stereo"):
        model = ours(tmp_path / name / "model")
        answers = sorted((tmp_path / name).glob("answers-*"))
        assert len(answers) >= len(encodec_folders.SOUND_FRAMES)
        for file in answers:
            theirs = load_file(file)
            encoded = encode(model, theirs["sound"], model.config.bandwidths[-1])
            assert_same(encoded, model.sounds_of([encoded])[0], theirs)


@pytest.mark.parametrize(("config", "n_frames"), [(MONO_24_KHZ, [75]), (STEREO_48_KHZ, [150, 2])], ids=["24", "48"])
def test_the_published_configurations_load_and_answer(
    config: dict[str, Any], n_frames: list[int], tmp_path: Path
) -> None:
    given = {key: value for key, value in config.items() if key not in ("model_type", "architectures", "torch_dtype")}
    publish(tmp_path, given)
    (tmp_path / "config.json").write_text(json.dumps(config))
    checkpoint = read_checkpoint(tmp_path)
    assert checkpoint.unused == []
    model = ours(tmp_path)
    rate, channels = config["sampling_rate"], config["audio_channels"]
    sound = 0.3 * torch.sin(torch.arange(rate) * 440 * 2 * torch.pi / rate).expand(channels, -1)
    encoded = encode(model, sound, 6.0)
    assert [chunk.shape[1] for chunk in encoded.chunks] == n_frames
    assert encoded.n_codebooks == {24000: 8, 48000: 4}[rate]
    (restored,) = model.run(RECONSTRUCT_SOUND, [ReconstructSoundRequest(sound=sound, bandwidth=6.0)])
    assert restored.sound.shape == sound.shape
    assert restored.mse == pytest.approx((restored.sound - sound).square().mean().item(), rel=1e-4)
    assert restored.mae == pytest.approx((restored.sound - sound).abs().mean().item(), rel=1e-4)


@pytest.mark.parametrize("config", FAMILY.tiny)
def test_written_folders_load_again(config: EncodecConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = FAMILY.new_model(config).eval()
    write_published(tmp_path, model, FAMILY, config, extra={}, dtype=torch.float32)
    checkpoint = read_checkpoint(tmp_path)
    assert checkpoint.config == config
    for name, weight in ours(tmp_path).state_dict().items():
        torch.testing.assert_close(weight, model.state_dict()[name])
