"""Ways between latents, pictures of them, and their quantisation."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.autoencoding.calibration import Calibration
from models.autoencoding.compression.entropy import TOTAL, normal_frequencies
from models.autoencoding.compression.quantisation import MAX_BITS, MIN_BITS, REACH, _frequencies, pack, unpack
from models.autoencoding.latents import between
from models.errors import InvalidItems
from models.results import project
from models.tasks.autoencoding import Method

CALIBRATION = Calibration(
    scores={},
    percentile=99.0,
    latent_mean=torch.tensor([1.0, -2.0, 0.0]),
    latent_deviation=torch.tensor([0.5, 3.0, 1.0]),
    mixture=None,
)


@pytest.mark.parametrize("method", ["linear", "slerp"])
@pytest.mark.parametrize("shape", [(4,), (2, 3, 3)])
def test_a_way_begins_and_ends_where_it_should(method: Method, shape: tuple[int, ...]) -> None:
    start, end = torch.randn(shape), torch.randn(shape)
    path = between(start, end, 7, method)
    assert path.shape == (7, *shape)
    torch.testing.assert_close(path[0], start)
    torch.testing.assert_close(path[-1], end)


def test_slerp_turns_evenly_and_keeps_to_the_sphere() -> None:
    start, end = torch.tensor([2.0, 0, 0]), torch.tensor([0, 2.0, 0])
    path = between(start, end, 10, "slerp")
    angles = torch.atan2(path[:, 1], path[:, 0])
    torch.testing.assert_close(angles, torch.linspace(0, math.pi / 2, 10))
    torch.testing.assert_close(path.norm(dim=1), torch.full((10,), 2.0))


@pytest.mark.parametrize("end", [[1.0, 1.0], [-1.0, -1.0], [0.0, 0.0], [2.0, 2.0]])
def test_where_no_turn_is_defined_the_way_is_straight(end: list[float]) -> None:
    start = torch.ones(2)
    path = between(start, torch.tensor(end), 5, "slerp")
    torch.testing.assert_close(path, between(start, torch.tensor(end), 5, "linear"))


def test_points_are_principal_components() -> None:
    torch.manual_seed(0)
    latents = torch.randn(50, 6) @ torch.diag(torch.tensor([9.0, 4, 1, 1, 1, 1])) + 3
    result = project(latents, "pca")
    covariance = np.cov(latents.double().numpy().T)
    values, vectors = np.linalg.eigh(covariance)
    for i in (0, 1):
        axis = vectors[:, -1 - i]
        expected = (
            (latents.double().numpy() - latents.double().numpy().mean(0)) @ axis * np.sign(axis[np.abs(axis).argmax()])
        )
        np.testing.assert_allclose(result.points[:, i], expected, rtol=0, atol=1e-4)
    assert result.explained_variance is not None
    np.testing.assert_allclose(result.explained_variance, values[:-3:-1] / values.sum(), rtol=1e-5)


@pytest.mark.parametrize(("n", "width"), [(1, 3), (2, 1), (5, 1), (3, 2)])
def test_too_few_directions_leave_zeros(n: int, width: int) -> None:
    result = project(torch.randn(n, width), "pca")
    assert result.points.shape == (n, 2)
    assert result.points.isfinite().all()
    if min(n - 1, width) < 2:
        assert (result.points[:, 1] == 0).all()
        assert result.explained_variance is not None
        assert result.explained_variance[1] == 0


def test_a_latent_of_width_2_is_a_point_itself() -> None:
    latents = torch.randn(4, 2)
    assert torch.equal(project(latents, "latent").points, latents)
    with pytest.raises(InvalidItems, match="this model's is 3"):
        project(torch.randn(4, 3), "latent")


@settings(deadline=None)
@given(bits=st.integers(1, 16), seed=st.integers(0, 1000), n_items=st.integers(1, 20))
def test_a_latent_comes_back_to_within_half_a_step(bits: int, seed: int, n_items: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    scaled = torch.randn(n_items, 3, generator=draw)
    latents = scaled * CALIBRATION.latent_deviation + CALIBRATION.latent_mean
    got = unpack(pack(latents, CALIBRATION, bits), CALIBRATION, bits, n_items)
    assert got is not None
    errors = (got - latents).abs() / CALIBRATION.latent_deviation
    assert errors.max() <= REACH / 2**bits * 1.01 + 1e-5


def test_far_latents_are_cut_and_leftovers_are_noticed() -> None:
    far: Tensor = torch.tensor([[1e9, -1e9, 0.0]])
    words = pack(far, CALIBRATION, 8)
    got = unpack(words, CALIBRATION, 8, 1)
    assert got is not None
    assert ((got - CALIBRATION.latent_mean).abs() <= REACH * CALIBRATION.latent_deviation).all()
    many = pack(torch.randn(50, 3), CALIBRATION, 8)
    assert unpack(many, CALIBRATION, 8, 3) is None


@pytest.mark.parametrize("n_words", [1, 3])
def test_a_payload_that_ends_in_a_zero_is_none(n_words: int) -> None:
    assert unpack(np.arange(n_words, dtype=np.uint32)[::-1].copy(), CALIBRATION, 8, 1) is None


@pytest.mark.parametrize("bits", [8, 14, 15, 16])
def test_a_latent_costs_no_more_than_its_steps_information(bits: int) -> None:
    latents = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
    unit = replace(CALIBRATION, latent_mean=torch.zeros(3), latent_deviation=torch.ones(3))
    rate = 32 * len(pack(latents, unit, bits)) / latents.numel()
    differential_entropy = 0.5 * math.log2(2 * math.pi * math.e)
    assert rate == pytest.approx(differential_entropy - math.log2(2 * REACH / 2**bits), rel=0.01)


@pytest.mark.parametrize("bits", range(MIN_BITS, MAX_BITS + 1))
def test_frequencies_are_those_of_steps_of_equal_width(bits: int) -> None:
    frequencies = _frequencies(bits)
    assert (frequencies.sum(), frequencies.min() >= 1) == (TOTAL, True)
    if bits <= 14:
        ends = np.arange(1, 2**bits) * (12 * 4096 // 2**bits) - 6 * 4096
        (expected,) = normal_frequencies(ends, np.array([0]), np.array([4096]))
        np.testing.assert_array_equal(frequencies, expected)
