"""Tests that every family of autoencoders passes with its tiny configurations. They find new families by themselves."""

import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.checkpoint import load_model
from models.errors import InvalidItems
from models.family import FamilyConfig, FamilySpec
from models.tasks import COMPRESS, DECOMPRESS, DETECT_ANOMALIES, IMPUTE, SAMPLE, Task
from models.tasks.autoencoding import (
    CompressRequest,
    DecompressRequest,
    DetectAnomaliesRequest,
    ImputeRequest,
    SampleRequest,
)
from tests.models.tiny import TINY, TINY_TASKS, assert_same, build, random_request, write


@pytest.mark.parametrize(("spec", "config", "task"), TINY_TASKS)
def test_every_declared_task_answers(spec: FamilySpec[Any], config: FamilyConfig, task: Task) -> None:
    model = build(spec, config)
    (result,) = model.run(task, [model.example(task)])
    assert isinstance(result, task.result)
    assert isinstance(model.example(task), task.request)
    assert model.example(task).cost > 0


@pytest.mark.parametrize(("spec", "config", "task"), TINY_TASKS)
def test_a_batch_gives_the_same_results_as_single_requests(
    spec: FamilySpec[Any], config: FamilyConfig, task: Task
) -> None:
    model = build(spec, config)
    requests = [random_request(model, task, seed) for seed in range(17)]
    for request, batched in zip(requests, model.run(task, requests), strict=True):
        (single,) = model.run(task, [request])
        assert_same(batched, single)


@pytest.mark.parametrize(("spec", "config", "task"), TINY_TASKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_results_are_on_the_cpu_in_float32(
    spec: FamilySpec[Any], config: FamilyConfig, task: Task, dtype: torch.dtype
) -> None:
    model = build(spec, config).to(dtype)
    (result,) = model.run(task, [model.example(task)])
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if isinstance(value, Tensor):
            assert (value.dtype, value.device.type) == (torch.float32, "cpu")


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_a_configuration_survives_json(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    assert spec.config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_a_checkpoint_gives_the_same_answers(spec: FamilySpec[Any], config: FamilyConfig, tmp_path: Path) -> None:
    checkpoint = write(spec, config, tmp_path / "tiny")
    first, second = (cast("Autoencoder", load_model(checkpoint)) for _ in range(2))
    for task in spec.tasks(config):
        request = random_request(first, task, 0)
        assert_same(first.run(task, [request])[0], second.run(task, [request])[0], tolerance=0.0)


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_a_sample_does_not_depend_on_its_batch_in_the_last_bit(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    model = build(spec, config)
    for sampler in model.samplers:
        requests = [SampleRequest(seed=seed, index=seed % 3, sampler=sampler) for seed in range(37)]
        for request, batched in zip(requests, model.run(SAMPLE, requests), strict=True):
            (single,) = model.run(SAMPLE, [request])
            assert torch.equal(single.sample, batched.sample)
    first, second = model.run(SAMPLE, [SampleRequest(seed=seed) for seed in (0, 1)])
    assert not torch.equal(first.latent, second.latent)


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_an_unknown_sampler_or_label_is_refused(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    model = build(spec, config)
    for wrong in ({"sampler": "none"}, {"label": "none"}):
        with pytest.raises(InvalidItems, match="'none'"):
            model.run(SAMPLE, [SampleRequest(seed=0, **wrong)])  # type: ignore[arg-type]


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_contributions_sum_to_the_score_and_p_values_are_conformal(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    model = build(spec, config)
    for name in model.scores:
        item = torch.rand(model.input_shape)
        (result,) = model.run(DETECT_ANOMALIES, [DetectAnomaliesRequest(item=item, score=name)])
        assert result.contributions.shape == item.shape
        assert result.contributions.double().sum().item() == pytest.approx(result.score, rel=1e-6)
        normal = model.calibration.scores[name]
        assert result.p_value == (1 + int((normal >= result.score).sum())) / (1 + len(normal))
        assert result.is_anomaly == (result.score > result.threshold)
        assert [c.contribution for c in result.top] == result.contributions.flatten().topk(5).values.tolist()


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_imputation_keeps_the_observed_elements(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    model = build(spec, config)
    item = torch.rand(model.input_shape)
    gaps = torch.rand(model.input_shape) < 0.4
    (result,) = model.run(IMPUTE, [ImputeRequest(item=torch.where(gaps, torch.nan, item), iterations=3)])
    assert torch.equal(result.imputed[~gaps], item[~gaps])
    assert result.imputed.isfinite().all()
    with pytest.raises(InvalidItems, match="every element is null"):
        model.run(IMPUTE, [ImputeRequest(item=torch.full(model.input_shape, torch.nan))])


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_more_bits_lose_less_and_every_damaged_byte_is_detected(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    model = build(spec, config)
    item = torch.rand(model.input_shape)
    compressed = {bits: model.run(COMPRESS, [CompressRequest(items=(item,), bits=bits)])[0] for bits in (1, 8, 16)}
    (latent,) = model.latents_of([item])
    (exact,) = model.items_of(latent[None], [model.input_shape])
    errors = {}
    for bits, result in compressed.items():
        (decompressed,) = model.run(DECOMPRESS, [DecompressRequest(stream=result.stream, max_items=1)])
        errors[bits] = (decompressed.items[0] - exact).abs().max().item()
        assert result.bits_per_element == 8 * len(result.stream) / item.numel()
    assert errors[16] < 1e-3
    assert errors[16] <= errors[8] <= errors[1] + 1e-6
    stream = compressed[8].stream
    for index in range(len(stream)):
        for damaged in (stream[:index], stream[:index] + bytes([stream[index] ^ 1]) + stream[index + 1 :]):
            with pytest.raises(InvalidItems):
                model.run(DECOMPRESS, [DecompressRequest(stream=damaged, max_items=1)])
    model.digest = b"another."
    with pytest.raises(InvalidItems, match="made by another model"):
        model.run(DECOMPRESS, [DecompressRequest(stream=stream, max_items=1)])


@pytest.mark.parametrize(("spec", "config"), TINY)
def test_a_family_names_its_paper(spec: FamilySpec[Any], config: FamilyConfig) -> None:
    assert spec.title
    assert any(character.isdigit() for character in spec.paper)
