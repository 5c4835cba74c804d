"""Tests of the log-mel distance of two sounds."""

import pytest
import torch
from torch.nn import functional

from training.sounds.distance import log_mel_distance


def noise(seed: int = 0) -> torch.Tensor:
    return 0.5 * torch.randn(4000, generator=torch.Generator().manual_seed(seed)).clamp(-2, 2)


def test_equal_sounds_have_no_distance() -> None:
    assert log_mel_distance(noise(), noise()) == 0


def test_the_distance_is_in_decibels() -> None:
    assert log_mel_distance(noise(), noise() / 2) == pytest.approx(6.02, abs=0.1)


def test_a_delay_in_whole_milliseconds_does_not_count() -> None:
    sound = noise()
    for delay in (8, 160, 480):
        assert log_mel_distance(sound, functional.pad(sound, (delay, 0))) < 0.01
    assert log_mel_distance(sound, functional.pad(sound, (640, 0))) > 1


def test_missing_samples_are_silence() -> None:
    sound = noise()
    cut = torch.cat([sound[:2000], torch.zeros(2000)])
    assert log_mel_distance(sound, sound[:2000]) == log_mel_distance(sound, cut) > 10


def test_the_sign_of_a_sound_does_not_count() -> None:
    assert log_mel_distance(noise(), -noise()) < 1e-3
