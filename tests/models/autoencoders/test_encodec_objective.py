"""The losses of EnCodec, against NumPy and the filters of transformers."""

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank

from models.autoencoders.encodec.objective import (
    LogMel,
    MelSettings,
    SpectralLoss,
    commitment_loss,
    mel_filters,
    time_loss,
)

SETTINGS = MelSettings(sampling_rate=8000, window=200, hop=80, n_fft=512, n_bands=40)


def random_sounds(n: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.rand((n, length), generator=torch.Generator().manual_seed(seed)) - 0.5


@pytest.mark.parametrize(("n_fft", "n_bands"), [(512, 40), (64, 8), (1024, 64)])
def test_mel_filters_are_those_of_transformers(n_fft: int, n_bands: int) -> None:
    theirs = mel_filter_bank(n_fft // 2 + 1, n_bands, 0.0, 4000.0, 8000, norm=None, mel_scale="htk")
    np.testing.assert_allclose(mel_filters(8000, n_fft, n_bands).numpy(), theirs, atol=1e-5)


def test_a_spectrogram_is_that_of_numpy() -> None:
    (sound,) = random_sounds(1, 1001)
    padded = np.pad(sound.double().numpy(), 256)
    window = np.zeros(512)
    window[156:356] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200)
    frames = np.stack([padded[start : start + 512] * window for start in range(0, len(padded) - 511, 80)])
    power = np.abs(np.fft.rfft(frames)) ** 2 / (window.sum() / 2) ** 2
    expected = 10 * np.log10(power @ mel_filters(8000, 512, 40).double().numpy() + 1e-8)
    np.testing.assert_allclose(LogMel(SETTINGS)(sound[None])[0].numpy(), expected.T, atol=1e-2)


def test_a_sine_of_full_scale_has_about_0_db_and_silence_80_db_less() -> None:
    sine = torch.sin(2 * torch.pi * 1000 / 8000 * torch.arange(8000))
    assert 4 < LogMel(SETTINGS)(sine[None])[0, :, 50].max().item() < 5
    plain = MelSettings(sampling_rate=8000, window=256, hop=64, n_fft=256, n_bands=32)
    assert -1 < LogMel(plain)(sine[None])[0, :, 50].max().item() < 1.5
    assert torch.equal(LogMel(SETTINGS)(torch.zeros(1, 800)), torch.full((1, 40, 11), -80.0))


def test_the_spectral_loss_is_the_distance_in_bels() -> None:
    loss = SpectralLoss((SETTINGS,))
    sounds = random_sounds(3, 2000)
    assert loss(sounds, sounds).item() == 0
    tenth = loss(sounds / 10**0.5, sounds).item()
    assert tenth == pytest.approx(1 + 1, rel=0.01)  # a tenth of the power is one bel less, everywhere
    less = SpectralLoss((SETTINGS,), square_weight=0.5)(sounds / 10**0.5, sounds).item()
    assert less == pytest.approx(1 + 0.5, rel=0.01)
    assert loss(-sounds, sounds).item() == pytest.approx(0, abs=1e-5)


def test_the_spectral_loss_is_the_mean_over_its_spectrograms() -> None:
    other = MelSettings(sampling_rate=8000, window=64, hop=16, n_fft=64, n_bands=8)
    sounds, others = random_sounds(2, 900), random_sounds(2, 900, seed=1)
    first, second = (SpectralLoss((each,))(others, sounds).item() for each in (SETTINGS, other))
    assert first != pytest.approx(second, rel=0.01)
    assert SpectralLoss((SETTINGS, other))(others, sounds).item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_the_time_loss_is_the_mean_absolute_difference() -> None:
    assert time_loss(torch.tensor([[0.5, -0.5]]), torch.tensor([[0.25, 0.25]])).item() == 0.5


def test_the_commitment_loss_counts_the_codebooks_in_use() -> None:
    errors = torch.tensor([[2.0, 1.0], [4.0, 3.0]])[:, :, None, None].expand(2, 2, 5, 3)
    assert commitment_loss(errors, torch.tensor([1, 2])).item() == (4 + (16 + 9)) / 2
