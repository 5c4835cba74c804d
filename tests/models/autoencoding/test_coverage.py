"""Scores of steps that few windows contain are exceeded as often as those of steps amid a long series."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.autoencoding.coverage import as_amid, least_scores
from models.autoencoding.windows import Windows

WINDOWS = Windows(length=8, stride=2)
RATE = 0.05


def normal_series(n: int, n_steps: int, seed: int) -> list[Tensor]:
    """Scores of the windows of `n` series, `[N]` each."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.empty(len(WINDOWS.starts(n_steps))).exponential_(generator=generator) for _ in range(n)]


def step_scores(series: list[Tensor], n_steps: int, least: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the scores of the steps of series, and the numbers of windows that contain each, both `[n * T]`."""
    n_windows = WINDOWS.n_containing(n_steps)
    found = [WINDOWS.least(scores, n_steps) for scores in series]
    return torch.cat([x if least is None else as_amid(x, n_windows, least) for x in found]), n_windows.repeat(
        len(found)
    )


@pytest.mark.parametrize("n_steps", [8, 10, 12, 40])
def test_normal_steps_exceed_a_threshold_equally_often_in_series_of_any_length(n_steps: int) -> None:
    least = least_scores(normal_series(50, 200, 0), WINDOWS.n_per_step)
    threshold = least[-1].quantile(1 - RATE)
    series = normal_series(3000, n_steps, 1)
    scores, n_windows = step_scores(series, n_steps, least)
    raw, _ = step_scores(series, n_steps, None)
    for k in set(n_windows.tolist()):
        assert (scores[n_windows == k] > threshold).double().mean() == pytest.approx(RATE, abs=0.015)
    assert (raw[n_windows == 1] > threshold).double().mean() > 5 * RATE


def test_the_least_scores_are_those_of_all_runs_of_windows() -> None:
    series = [scores.double() for scores in normal_series(3, 30, 2)]
    least = least_scores(series, 4)
    assert least.shape == (4, 3 * len(series[0]))
    for k in range(1, 5):
        runs = [scores[i : i + k].min() for scores in series for i in range(len(scores) - k + 1)]
        np.testing.assert_allclose(least[k - 1], np.quantile(runs, np.linspace(0, 1, least.shape[1])), rtol=1e-6)


def test_series_with_fewer_windows_than_a_step_can_be_in_count_with_all_they_have() -> None:
    least = least_scores([torch.tensor([1.0, 3.0, 2.0])], 5)
    assert least[:, -1].tolist() == [3.0, 2.0, 1.0, 1.0, 1.0]


@given(
    st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=20),
    st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=30),
)
def test_higher_scores_stay_higher_and_those_in_many_windows_stay_as_they_are(
    normal: list[float], values: list[float]
) -> None:
    least = least_scores([torch.tensor(normal)], 3)
    scores = torch.tensor(values).sort().values
    for k in (1, 2):
        found = as_amid(scores, torch.full((len(scores),), k), least)
        assert (found.diff() >= -1e-6 * found[1:]).all()
        assert (found >= 0).all()
    for k in (3, 4):
        assert torch.equal(as_amid(scores, torch.full((len(scores),), k), least), scores)
