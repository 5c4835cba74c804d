import math

import pytest
import torch

from models.autoencoding.metrics import MAX_PSNR, psnr, reconstruction_results, value_range


@pytest.mark.parametrize("shape", [(3, 1, 5, 4), (1, 7), (2, 6, 2), (1, 3, 512, 512)])
def test_errors_are_means_over_the_elements_of_each_item(shape: tuple[int, ...]) -> None:
    items, reconstructions = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    results = reconstruction_results(items, reconstructions)
    for result, item, reconstruction in zip(results, items, reconstructions, strict=True):
        error = (reconstruction - item).double()
        assert result.reconstruction.equal(reconstruction)
        assert result.mse == pytest.approx(error.square().mean().item(), rel=1e-6)
        assert result.mae == pytest.approx(error.abs().mean().item(), rel=1e-6)


def test_the_signal_to_noise_ratio_is_limited() -> None:
    assert psnr(0.0, 1.0) == psnr(1e-30, 1.0) == MAX_PSNR
    assert psnr(0.01, 1.0) == pytest.approx(20)
    assert psnr(0.01, 0.0) == 0.0


@pytest.mark.parametrize("peak", [1e-320, 1e-200, 1e-38, 1e38, 1e200])
def test_the_signal_to_noise_ratio_of_any_range_is_finite(peak: float) -> None:
    assert psnr(1.0, peak) == pytest.approx(min(MAX_PSNR, 20 * math.log10(peak)), rel=1e-3)


def test_the_range_is_that_of_the_items_if_there_are_no_limits() -> None:
    items = torch.tensor([-3.0, 5.0])
    assert value_range((0.0, 1.0), items) == (0.0, 1.0)
    assert value_range((-torch.inf, torch.inf), items) == (-3.0, 5.0)
