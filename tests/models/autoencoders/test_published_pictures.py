"""Promises of every autoencoder of pictures of several sizes. A new family is tested here without an edit."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.autoencoding import pictures
from models.autoencoding.compression.stream import Mode, parse_stream
from models.autoencoding.pictures import PictureAutoencoder
from models.checkpoint import read_checkpoint
from models.errors import InvalidItems
from models.family import FamilyConfig, FamilySpec
from models.tasks import COMPRESS, DECODE, DECOMPRESS, ENCODE, INTERPOLATE, PROJECT, Task
from models.tasks.autoencoding import (
    CompressRequest,
    DecodeRequest,
    DecompressRequest,
    EncodeRequest,
    InterpolateRequest,
    ProjectRequest,
)
from tests.models.autoencoders.diffusers_reference import CASES, assert_close, build, ours, reference, write
from tests.models.tiny import assert_same

TINY = [pytest.param(*case, id=name) for name, case in CASES.items()]
TINY_TASKS = [
    pytest.param(spec, config, task, id=f"{name}-{task.name}")
    for name, (spec, config) in CASES.items()
    for task in spec.tasks(config)
]
SIZES = ((1, 1), (2, 3), (5, 2), (2, 3))
"""Rows and columns of latents."""


def random_request(model: PictureAutoencoder, task: Task, seed: int) -> Any:
    """Return the example with random numbers, and with pictures of one of `SIZES`."""
    height, width = SIZES[seed % len(SIZES)]
    generator = torch.Generator().manual_seed(seed)

    def another(tensor: Tensor, name: str) -> Tensor:
        scale = 1 if name == "latent" else model.scale
        return torch.rand(tensor.shape[0], height * scale, width * scale, generator=generator)

    request: Any = model.example(task)
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(request):
        value = getattr(request, field.name)
        if isinstance(value, Tensor):
            changes[field.name] = another(value, field.name)
        elif isinstance(value, tuple):
            changes[field.name] = tuple(another(each, field.name) for each in value)
    return dataclasses.replace(request, **changes)


@pytest.mark.parametrize(("spec", "config", "task"), TINY_TASKS)
def test_every_declared_task_answers(spec: FamilySpec[Any], config: FamilyConfig, task: Task) -> None:
    model = build(spec, config)
    (result,) = model.run(task, [model.example(task)])
    assert isinstance(result, task.result)
    assert model.cost_of(task, model.example(task)) > 0


@pytest.mark.parametrize(("spec", "config", "task"), TINY_TASKS)
def test_a_batch_of_several_sizes_gives_the_results_of_single_requests(
    spec: FamilySpec[Any], config: FamilyConfig, task: Task
) -> None:
    model = build(spec, config)
    requests = [random_request(model, task, seed) for seed in range(9)]
    for request, batched in zip(requests, model.run(task, requests), strict=True):
        (single,) = model.run(task, [request])
        assert_same(batched, single)


@pytest.mark.parametrize(("spec", "config", "task"), TINY_TASKS)
def test_results_are_on_the_cpu_in_float32(spec: FamilySpec[Any], config: FamilyConfig, task: Task) -> None:
    model = build(spec, config).to(torch.bfloat16)
    (result,) = model.run(task, [model.example(task)])
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if isinstance(value, Tensor):
            assert (value.dtype, value.device.type) == (torch.float32, "cpu")


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_a_configuration_survives_json(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    assert spec.config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_what_it_publishes_it_reads_and_so_does_diffusers(
    spec: FamilySpec[Any], config: FamilyConfig, tmp_path: Path
) -> None:
    model = build(spec, config)
    write(tmp_path, spec, config, model)
    assert read_checkpoint(tmp_path).config == config
    request = random_request(model, ENCODE, 1)
    (expected,) = model.run(ENCODE, [request])
    assert_same(ours(tmp_path).run(ENCODE, [request])[0], expected, tolerance=0.0)
    latent = torch.rand(1, model.latent_shape[0], 3, 2)
    assert_close(model.decode(latent) * 2 - 1, reference(tmp_path).decode(latent).sample)


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_pictures_are_within_the_range_of_pixels_and_have_the_size_of_the_latent(
    spec: FamilySpec[Any], config: FamilyConfig
) -> None:
    model = build(spec, config)
    (result,) = model.run(DECODE, [DecodeRequest(latent=9 * torch.randn(model.latent_shape[0], 2, 3))])
    assert result.reconstruction.shape == (model.input_shape[0], 2 * model.scale, 3 * model.scale)
    assert 0 <= result.reconstruction.min() <= result.reconstruction.max() <= 1


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_few_pixels_are_computed_together(
    spec: FamilySpec[Any], config: FamilyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(spec, config)
    requests = [EncodeRequest(item=torch.rand(model.input_shape[0], model.scale, 2 * model.scale)) for _ in range(5)]
    expected = model.run(ENCODE, requests)
    sizes: list[int] = []
    encoder: nn.Module = model.encoder
    encoder.register_forward_pre_hook(lambda module, arguments: sizes.append(len(arguments[0])))
    monkeypatch.setattr(pictures, "PIXELS_AT_ONCE", 4 * model.scale**2)
    assert_same(tuple(model.run(ENCODE, requests)), tuple(expected))
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_pictures_that_belong_together_must_have_one_size(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    model = build(spec, config)
    narrow = torch.rand(model.input_shape[0], model.scale, model.scale)
    wide = torch.rand(model.input_shape[0], model.scale, 2 * model.scale)
    sizes = f"{model.scale} x {model.scale} and {2 * model.scale} x {model.scale} pixels"
    with pytest.raises(InvalidItems, match=sizes):
        model.run(INTERPOLATE, [InterpolateRequest(start=narrow, end=wide)])
    with pytest.raises(InvalidItems, match=sizes):
        model.run(PROJECT, [ProjectRequest(items=(wide, narrow))])
    with pytest.raises(InvalidItems, match="this is for series"):
        model.run(DECODE, [DecodeRequest(latent=torch.zeros(model.latent_shape), length=3)])


@pytest.mark.parametrize(("spec", "config"), TINY)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_compressed_pictures_come_back_as_their_latents_say(
    spec: FamilySpec[Any], config: FamilyConfig, height: int, width: int
) -> None:
    model = build(spec, config)
    items = tuple(torch.rand(2, model.input_shape[0], height * model.scale, width * model.scale))
    (fine, coarse) = model.run(COMPRESS, [CompressRequest(items=items, bits=bits) for bits in (16, 4)])
    (result,) = model.run(DECOMPRESS, [DecompressRequest(stream=fine.stream, max_items=2)])
    expected = model.items_of(model.latents_of(items), ())
    for item, other in zip(result.items, expected, strict=True):
        torch.testing.assert_close(item, other, rtol=0, atol=0.01)
    error = (torch.stack(result.items) - torch.stack(items)).square().mean().item()
    assert fine.mse == pytest.approx(error, rel=1e-5)
    assert fine.bits_per_element == 8 * len(fine.stream) / torch.stack(items).numel()
    assert len(coarse.stream) <= len(fine.stream)


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_streams_of_other_pictures_or_models_are_refused(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    model = build(spec, config)
    n_channels, side = model.input_shape[0], 2 * model.scale
    (result,) = model.run(COMPRESS, [CompressRequest(items=(torch.rand(n_channels, side, side),))])
    stream = parse_stream(result.stream, digest=model.digest)
    n_scale = 2 * model.latent_shape[0]
    not_finite, too_short = stream.words.copy(), stream.words[: n_scale - 1]
    not_finite[0] = 0x7FC00000  # not a number
    no_deviation = stream.words.copy()
    no_deviation[n_scale - 1] = 0
    changes: list[tuple[dict[str, Any], str]] = [
        (
            {"shape": (n_channels, side, side + 1)},
            f"multiples of {model.scale}" if model.scale > 1 else "makes no sense",
        ),
        ({"shape": (n_channels, 0, side)}, "of at most 4194304 pixels"),
        ({"shape": (n_channels, 2**12 * model.scale, 2**11)}, "of at most 4194304 pixels"),
        ({"shape": (n_channels + 1, side, side)}, "the stream's items have the shape"),
        ({"shape": (side, side)}, "the stream's items have the shape"),
        ({"shape": (n_channels, model.scale, model.scale)}, "the stream's payload makes no sense"),
        ({"words": not_finite}, "the stream's payload makes no sense"),
        ({"words": no_deviation}, "the stream's payload makes no sense"),
        ({"words": too_short}, "the stream's payload makes no sense"),
        ({"mode": Mode.LOSSLESS}, "the stream's payload makes no sense"),
    ]
    for change, message in changes:
        data = dataclasses.replace(stream, **change).to_bytes()
        with pytest.raises(InvalidItems, match=message):
            model.run(DECOMPRESS, [DecompressRequest(stream=data, max_items=1)])
    model.digest = b"another!"
    with pytest.raises(InvalidItems, match="the stream was made by another model"):
        model.run(DECOMPRESS, [DecompressRequest(stream=result.stream, max_items=1)])


def test_a_folder_has_a_digest_of_its_weights(tmp_path: Path) -> None:
    spec, config = next(iter(CASES.values()))
    digests = set()
    for name, change in (("same", 0.0), ("again", 0.0), ("other", 1.0)):
        model = build(spec, config)
        next(model.parameters()).data += change
        write(tmp_path / name, spec, config, model)
        digests.add(ours(tmp_path / name).digest)
    assert len(digests) == 2
    assert bytes(8) not in digests


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_a_family_names_its_paper(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    assert spec.title
    assert any(character.isdigit() for character in spec.paper)
