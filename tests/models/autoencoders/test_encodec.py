"""EnCodec's networks and codes equal those of transformers, whose folders load as they are."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.autoencoders.encodec import FAMILY
from models.autoencoders.encodec.coding import pack, unpack
from models.autoencoders.encodec.config import EncodecConfig
from models.autoencoders.encodec.model import Encodec
from models.checkpoint import load_model, read_checkpoint
from models.checkpoint.hugging_face import write_published
from models.errors import CheckpointError, ConfigError, InvalidItems
from models.tasks import COMPRESS_SOUND, DECODE_SOUND, DECOMPRESS_SOUND, ENCODE_SOUND, RECONSTRUCT_SOUND
from models.tasks.audio import (
    CompressSoundRequest,
    DecodeSoundRequest,
    DecompressSoundRequest,
    EncodeSoundRequest,
    ReconstructSoundRequest,
    SoundCodes,
)
from tests.models.autoencoders import encodec_folders
from tests.models.autoencoders.encodec_folders import answers_of, publish, sounds_for
from tests.models.transformers.reference import change, change_weights
from tests.models.transformers.version_4 import PACKAGES

TOLERANCE = 1e-4
OLD_NAMES = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
"""The names of the magnitude and the direction of a weight before version 2.1 of PyTorch, by those since then."""
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
            n_codes += len(torch.cat(encoded.chunks, 1).unique())
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
    ids=str,
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


def tiny(number: int) -> Encodec:
    torch.manual_seed(0)
    return cast("Encodec", FAMILY.new_model(FAMILY.tiny[number]).eval().requires_grad_(False))


@pytest.mark.parametrize("length", [160, 153, 161])
def test_a_sound_whose_last_chunk_ends_before_the_one_before_it_is_joined(length: int) -> None:
    """A chunk of whole frames may reach beyond the last chunk. Where it does, transformers raises an error."""
    model = tiny(1)
    sound = torch.rand((2, length)) - 0.5
    (restored,) = model.run(RECONSTRUCT_SOUND, [ReconstructSoundRequest(sound=sound)])
    assert restored.sound.shape == sound.shape
    first = encode(model, sound[:, :80], 0.08)
    alone = model.sounds_of([first])[0]
    torch.testing.assert_close(
        restored.sound[:, :72], alone[:, :72], rtol=1e-4, atol=1e-5
    )  # where chunks do not overlap


def random_sounds(model: Encodec) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    lengths = [1, 7, 8, 80, 80, 81, 200, 200, 333]
    return [torch.rand((model.config.n_channels, n), generator=generator) - 0.5 for n in lengths]


@pytest.mark.parametrize("number", [0, 1])
def test_a_batch_gives_the_same_results_as_single_requests(number: int) -> None:
    model = tiny(number)
    sounds = random_sounds(model)
    bandwidths = [model.config.bandwidths[i % 2] for i in range(len(sounds))]
    requests = [ReconstructSoundRequest(sound=s, bandwidth=b) for s, b in zip(sounds, bandwidths, strict=True)]
    for request, batched in zip(requests, model.run(RECONSTRUCT_SOUND, requests), strict=True):
        (single,) = model.run(RECONSTRUCT_SOUND, [request])
        assert batched.sound.shape == request.sound.shape
        torch.testing.assert_close(batched.sound, single.sound, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("number", [0, 1])
def test_every_task_has_an_example(number: int) -> None:
    model = tiny(number)
    for task in FAMILY.tasks(FAMILY.tiny[number]):
        request = model.example(task)
        assert isinstance(request, task.request)
        assert request.cost > 0
        (result,) = model.run(task, [request])
        assert isinstance(result, task.result)


def test_the_codes_of_a_smaller_bandwidth_are_the_first_ones(tmp_path: Path) -> None:
    model = tiny(0)
    (sound,) = random_sounds(model)[-1:]
    small, large = (encode(model, sound, bandwidth) for bandwidth in model.config.bandwidths)
    assert (small.n_codebooks, large.n_codebooks) == (2, 4)
    assert torch.equal(small.chunks[0], large.chunks[0][:2])
    least = model.run(ENCODE_SOUND, [EncodeSoundRequest(sound=sound)])[0]
    assert (least.encoded.n_codebooks, least.bandwidth) == (2, model.config.bandwidths[0])
    with pytest.raises(InvalidItems, match=r"bandwidth is 3 kbit/s; this model has 0.08, 0.16"):
        model.run(ENCODE_SOUND, [EncodeSoundRequest(sound=sound, bandwidth=3.0)])


@pytest.mark.parametrize("number", [0, 1])
def test_a_stream_has_the_codes_and_every_damaged_byte_is_detected(number: int) -> None:
    model = tiny(number)
    for sound in random_sounds(model):
        for bandwidth in model.config.bandwidths:
            encoded = encode(model, sound, bandwidth)
            (compressed,) = model.run(COMPRESS_SOUND, [CompressSoundRequest(sound=sound, bandwidth=bandwidth)])
            found = unpack(compressed.stream, model.config, model.digest, sound.shape[1])
            assert all(torch.equal(a, b) for a, b in zip(found.chunks, encoded.chunks, strict=True))
            assert found.scales == pytest.approx(encoded.scales, rel=1e-6)
            seconds = sound.shape[1] / model.config.sampling_rate
            assert compressed.kbit_per_s == pytest.approx(8 * len(compressed.stream) / seconds / 1000)
            assert compressed.ratio == pytest.approx(16 * sound.numel() / (8 * len(compressed.stream)))
            length = sound.shape[1]
            (restored,) = model.run(DECOMPRESS_SOUND, [DecompressSoundRequest(stream=compressed.stream, length=length)])
            torch.testing.assert_close(restored.sound, model.sounds_of([encoded])[0], rtol=1e-4, atol=1e-5)
    stream = compressed.stream
    for index in range(len(stream)):
        for damaged in (stream[:index], stream[:index] + bytes([stream[index] ^ 1]) + stream[index + 1 :]):
            with pytest.raises(InvalidItems):
                model.run(DECOMPRESS_SOUND, [DecompressSoundRequest(stream=damaged, length=length)])
    with pytest.raises(InvalidItems, match=f"the sound has {length} samples; at most 5 are taken"):
        unpack(stream, model.config, model.digest, 5)
    with pytest.raises(InvalidItems, match="made by another model"):
        unpack(stream, model.config, b"another.", length)


def test_codes_that_repeat_take_fewer_bytes_than_their_bits() -> None:
    config = tiny(0).config
    silence = SoundCodes(chunks=(torch.full((4, 400), 3),), scales=(), length=3200)
    generator = torch.Generator().manual_seed(0)
    noise = SoundCodes(chunks=(torch.randint(16, (4, 400), generator=generator),), scales=(), length=3200)
    sizes = {}
    for name, encoded in {"silence": silence, "noise": noise}.items():
        stream = pack(encoded, config, bytes(8))
        sizes[name] = len(stream)
        assert torch.equal(unpack(stream, config, bytes(8), 3200).chunks[0], encoded.chunks[0])
    n_plain = 4 * 400 * 4 // 8
    assert sizes["silence"] < n_plain / 20
    assert n_plain < sizes["noise"] < n_plain + 40  # the container, and no more


@pytest.mark.parametrize(
    ("change_of", "message"),
    [
        ({"length": 400}, r"there are chunks of \[10, 10, 5\] frames; a sound of 400 samples has"),
        ({"scales": (1.0,)}, "there are 1 scales; a sound of 180 samples has 3"),
        ({"scales": (1.0, 1.0, 1e9)}, "a scale is out of range; scales are 0 to 1024"),
        ({"chunks": tuple(torch.full((2, n), 16) for n in (10, 10, 5))}, "indices are 0 to 15"),
        (
            {"chunks": tuple(torch.zeros((5, n), dtype=torch.int64) for n in (10, 10, 5))},
            "5 codebooks; the model has 1",
        ),
    ],
    ids=str,
)
def test_codes_that_are_no_sound_of_the_model_are_refused(change_of: dict[str, Any], message: str) -> None:
    model = tiny(1)
    values = {"chunks": tuple(torch.zeros((2, n), dtype=torch.int64) for n in (10, 10, 5)), "scales": (1.0, 1.0, 1.0)}
    fitting = SoundCodes(**{"length": 180, **values})  # type: ignore[arg-type]
    assert model.run(DECODE_SOUND, [DecodeSoundRequest(encoded=fitting)])[0].sound.shape == (2, 180)
    wrong = SoundCodes(**{"length": 180, **values, **change_of})
    with pytest.raises(InvalidItems, match=message):
        model.run(DECODE_SOUND, [DecodeSoundRequest(encoded=wrong)])


def test_a_configuration_survives_json_and_refuses_what_is_out_of_range() -> None:
    for config in FAMILY.tiny:
        assert EncodecConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ConfigError, match="compress is 9; it must be at most n_filters, 4"):
        EncodecConfig.from_dict({**FAMILY.tiny[0].to_dict(), "compress": 9})
