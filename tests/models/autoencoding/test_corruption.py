import pytest
import torch

from models.autoencoding.corruption import corrupt
from models.tasks.autoencoding import Noise, NoiseType

GREY = torch.full((400, 400), 0.5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", ["gaussian", "masking", "salt_and_pepper"])
def test_noise_depends_on_the_seed_and_level_zero_changes_nothing(kind: NoiseType) -> None:
    first, again, other = (corrupt(GREY, Noise(kind, 0.3), generator(seed), low=0, high=1) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(corrupt(GREY, Noise(kind, 0.0), generator(), low=0, high=1), GREY)
    assert ((first >= 0) & (first <= 1)).all()


def test_gaussian_noise_has_its_deviation() -> None:
    noisy = corrupt(GREY, Noise("gaussian", 0.1), generator(), low=0, high=1)
    assert (noisy - GREY).std().item() == pytest.approx(0.1, rel=0.01)
    assert (noisy - GREY).mean().item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("value", [0.0, 3.0, -1e6])
def test_noise_of_a_flat_item_without_limits_has_its_level(value: float) -> None:
    flat = torch.full((400, 400), value, dtype=torch.float64)
    gaussian = corrupt(flat, Noise("gaussian", 0.3), generator(), low=-torch.inf, high=torch.inf)
    assert (gaussian - flat).std().item() == pytest.approx(0.3, rel=0.01)
    impulses = corrupt(flat, Noise("salt_and_pepper", 0.2), generator(), low=-torch.inf, high=torch.inf)
    assert set(impulses.flatten().tolist()) == {value - 1, value, value + 1}
    assert (impulses != flat).double().mean().item() == pytest.approx(0.2, abs=0.005)


def test_impulses_are_the_extremes_of_an_item_without_limits() -> None:
    item = torch.linspace(-2, 5, 10_000)
    noisy = corrupt(item, Noise("salt_and_pepper", 0.2), generator(), low=-torch.inf, high=torch.inf)
    assert set(noisy[noisy != item].tolist()) == {-2.0, 5.0}


def test_masking_sets_a_share_to_zero() -> None:
    noisy = corrupt(GREY, Noise("masking", 0.25), generator(), low=0, high=1)
    assert set(noisy.flatten().tolist()) == {0.0, 0.5}
    assert (noisy == 0).float().mean().item() == pytest.approx(0.25, abs=0.005)


def test_salt_and_pepper_are_equally_frequent() -> None:
    noisy = corrupt(GREY, Noise("salt_and_pepper", 0.2), generator(), low=-1, high=2)
    assert set(noisy.flatten().tolist()) == {-1.0, 0.5, 2.0}
    for end in (-1, 2):
        assert (noisy == end).float().mean().item() == pytest.approx(0.1, abs=0.005)
