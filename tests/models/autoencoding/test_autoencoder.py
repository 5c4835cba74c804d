import pytest
import torch

from models.tasks.autoencoding import SampleRequest
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
