"""The tasks of EnCodec with its tiny configurations: batches, bandwidths, streams, and codes that are refused."""

import json
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from models.autoencoders.encodec import FAMILY
from models.autoencoders.encodec.coding import pack, unpack
from models.autoencoders.encodec.config import EncodecConfig
from models.autoencoders.encodec.model import Encodec
from models.errors import ConfigError, InvalidItems
from models.precision import PrecisionChoice, convert
from models.tasks import COMPRESS_SOUND, DECODE_SOUND, DECOMPRESS_SOUND, ENCODE_SOUND, RECONSTRUCT_SOUND
from models.tasks.audio import (
    CompressSoundRequest,
    DecodeSoundRequest,
    DecompressSoundRequest,
    EncodeSoundRequest,
    ReconstructSoundRequest,
    SoundCodes,
)
from tests.models.autoencoders.test_encodec import encode
from training.calibrate import calibrate_sounds


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
def test_in_bfloat16_the_answers_are_in_float32(number: int) -> None:
    model = tiny(number)
    exact = model.random_codes(4)
    conversion = convert(model, PrecisionChoice("bfloat16", "as set"))
    assert conversion.cosine > 0.99
    assert (model.random_codes(4) - exact).abs().max() < 0.1
    for sound in random_sounds(model):
        (restored,) = model.run(RECONSTRUCT_SOUND, [ReconstructSoundRequest(sound=sound)])
        assert (restored.sound.dtype, restored.sound.shape) == (torch.float32, sound.shape)
        assert restored.sound.isfinite().all()


@pytest.mark.parametrize("number", [0, 1])
def test_every_task_has_an_example(number: int) -> None:
    model = tiny(number)
    model.calibration = calibrate_sounds(model, random_sounds(model), percentile=90.0)
    for task in FAMILY.tasks(FAMILY.tiny[number]):
        request = model.example(task)
        assert isinstance(request, task.request)
        assert request.cost > 0
        (result,) = model.run(task, [request])
        assert isinstance(result, task.result)


def test_the_codes_of_a_smaller_bandwidth_are_the_first_ones() -> None:
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
    silence = SoundCodes(chunks=(torch.full((4, 300), 3),), scales=(), length=2400)
    generator = torch.Generator().manual_seed(0)
    noise = SoundCodes(chunks=(torch.randint(16, (4, 300), generator=generator),), scales=(), length=2400)
    sizes = {}
    for name, encoded in {"silence": silence, "noise": noise}.items():
        stream = pack(encoded, config, bytes(8))
        sizes[name] = len(stream)
        assert torch.equal(unpack(stream, config, bytes(8), 2400).chunks[0], encoded.chunks[0])
    n_plain = 4 * 300 * 4 // 8
    assert sizes["silence"] < n_plain / 15
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
