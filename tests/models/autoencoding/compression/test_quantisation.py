import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.autoencoding.calibration import Calibration
from models.autoencoding.compression.entropy import TOTAL, normal_frequencies
from models.autoencoding.compression.quantisation import (
    MAX_BITS,
    MAX_DEVIATIONS,
    MIN_BITS,
    level_frequencies,
    pack,
    unpack,
)

CALIBRATION = Calibration(
    scores={},
    percentile=99.0,
    latent_mean=torch.tensor([1.0, -2.0, 0.0]),
    latent_deviation=torch.tensor([0.5, 3.0, 1.0]),
    mixture=None,
)


@given(bits=st.integers(1, 16), seed=st.integers(0, 1000), n_items=st.integers(1, 20))
def test_a_latent_comes_back_to_within_half_a_level(bits: int, seed: int, n_items: int) -> None:
    scaled = torch.randn(n_items, 3, generator=torch.Generator().manual_seed(seed))
    latents = scaled * CALIBRATION.latent_deviation + CALIBRATION.latent_mean
    unpacked = unpack(pack(latents, CALIBRATION, bits), CALIBRATION, bits, n_items)
    assert unpacked is not None
    errors = (unpacked - latents).abs() / CALIBRATION.latent_deviation
    assert errors.max() <= MAX_DEVIATIONS / 2**bits * 1.01 + 1e-5


def test_far_latents_are_clipped() -> None:
    words = pack(torch.tensor([[1e9, -1e9, 0.0]]), CALIBRATION, 8)
    unpacked = unpack(words, CALIBRATION, 8, 1)
    assert unpacked is not None
    distances = (unpacked - CALIBRATION.latent_mean).abs()
    assert (distances <= MAX_DEVIATIONS * CALIBRATION.latent_deviation).all()


def test_a_payload_of_more_latents_is_refused() -> None:
    assert unpack(pack(torch.randn(50, 3), CALIBRATION, 8), CALIBRATION, 8, 3) is None


@pytest.mark.parametrize("n_words", [1, 3])
def test_a_payload_that_ends_in_a_zero_is_refused(n_words: int) -> None:
    assert unpack(np.arange(n_words, dtype=np.uint32)[::-1].copy(), CALIBRATION, 8, 1) is None


@pytest.mark.parametrize("bits", [8, 14, 15, 16])
def test_a_payload_is_as_long_as_its_information(bits: int) -> None:
    latents = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
    standard = replace(CALIBRATION, latent_mean=torch.zeros(3), latent_deviation=torch.ones(3))
    rate = 32 * len(pack(latents, standard, bits)) / latents.numel()
    differential_entropy = 0.5 * math.log2(2 * math.pi * math.e)
    assert rate == pytest.approx(differential_entropy - math.log2(2 * MAX_DEVIATIONS / 2**bits), rel=0.01)


@pytest.mark.parametrize("bits", range(MIN_BITS, MAX_BITS + 1))
def test_frequencies_are_those_of_levels_of_equal_width(bits: int) -> None:
    frequencies = level_frequencies(bits)
    assert frequencies.sum() == TOTAL
    assert frequencies.min() >= 1
    if bits <= 14:
        edges = np.arange(1, 2**bits) * (12 * 4096 // 2**bits) - 6 * 4096
        (expected,) = normal_frequencies(edges, np.array([0]), np.array([4096]))
        np.testing.assert_array_equal(frequencies, expected)
