import pytest
import torch

from models.tasks import COMPRESS, DECODE, DETECT_ANOMALIES, RECONSTRUCT, SAMPLE
from models.tasks.autoencoding import (
    CompressRequest,
    DecodeRequest,
    DetectAnomaliesRequest,
    ReconstructRequest,
    SampleRequest,
)
from tests.models.tiny import build_case


def test_the_memory_of_a_model_includes_its_calibration() -> None:
    model = build_case("vanilla-0")
    weights = sum(4 * weight.numel() for weight in model.parameters())
    calibration = sum(tensor.numel() * tensor.element_size() for tensor in model.calibration.tensors().values())
    assert model.memory_bytes == weights + calibration


def test_a_sampler_that_is_declared_and_missing_is_an_error() -> None:
    with pytest.raises(NotImplementedError, match="declares the sampler other and has none"):
        build_case("vanilla-0").draw_latent(SampleRequest(seed=0), "other", torch.Generator())


@pytest.mark.parametrize("case", ["adversarial-1", "variational-1"])
def test_the_prior_draws_a_normal_latent_and_a_class(case: str) -> None:
    model = build_case(case)
    seeds = range(200)
    draws = [model.draw_latent(SampleRequest(seed=0), "prior", torch.Generator().manual_seed(seed)) for seed in seeds]
    latents = torch.stack(draws)
    assert latents.shape == (200, *model.latent_shape)
    assert latents[:, :3].mean().abs() < 0.2
    assert latents[:, :3].std().item() == pytest.approx(1, abs=0.1)
    assert (latents[:, 3:].sum(1) == 1).all()
    assert 50 < latents[:, 3].sum() < 150
    request = SampleRequest(seed=0, label="b", temperature=0.0)
    assert model.draw_latent(request, "prior", torch.Generator()).tolist() == [0, 0, 0, 0, 1]


def test_a_request_costs_what_it_makes_the_networks_do() -> None:
    machines, variational, recurrent = (build_case(name) for name in ("deep_belief-0", "variational-0", "recurrent-0"))
    item = torch.zeros(machines.input_shape)
    single = item.numel()
    assert machines.cost_of(RECONSTRUCT, ReconstructRequest(item=item)) == single
    assert machines.cost_of(SAMPLE, SampleRequest(seed=0, cost=single)) == single
    assert machines.cost_of(SAMPLE, SampleRequest(seed=0, cost=single, sampler="gibbs")) == 100 * single
    short = SampleRequest(seed=0, cost=single, sampler="gibbs", gibbs_steps=0)
    assert machines.cost_of(SAMPLE, short) == single
    assert machines.cost_of(DECODE, DecodeRequest(latent=torch.zeros(machines.latent_shape))) == single
    assert machines.cost_of(COMPRESS, CompressRequest(items=(item, item))) == 16 * single
    x = torch.zeros(variational.input_shape)
    assert variational.cost_of(DETECT_ANOMALIES, DetectAnomaliesRequest(item=x)) == x.numel()
    draws = DetectAnomaliesRequest(item=x, score="reconstruction_probability")
    assert variational.cost_of(DETECT_ANOMALIES, draws) == 8 * x.numel()
    series = torch.zeros(5, recurrent.input_shape[1])
    assert recurrent.cost_of(RECONSTRUCT, ReconstructRequest(item=series)) == 16 * series.numel()
