"""Long series as overlapping windows, and back."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.autoencoding.windows import Windows, reconstructions


@st.composite
def windows_and_steps(draw: st.DrawFn) -> tuple[Windows, int]:
    length = draw(st.integers(1, 9))
    return Windows(length, draw(st.integers(1, length))), draw(st.integers(length, 40))


@given(windows_and_steps())
def test_every_step_is_in_a_window_and_none_reaches_beyond_the_series(case: tuple[Windows, int]) -> None:
    windows, n_steps = case
    starts = windows.starts(n_steps)
    assert starts[0] == 0
    assert starts[-1] + windows.length == n_steps
    assert ((starts.diff() > 0) & (starts.diff() <= windows.stride)).all()
    series = torch.arange(2.0 * n_steps).view(n_steps, 2)
    parts = windows.split(series)
    assert parts.shape == (len(starts), windows.length, 2)
    assert torch.equal(parts[-1], series[-windows.length :])
    torch.testing.assert_close(windows.mean(parts, n_steps), series)


@given(windows_and_steps())
def test_a_step_has_the_least_score_of_its_windows(case: tuple[Windows, int]) -> None:
    windows, n_steps = case
    starts = windows.starts(n_steps)
    scores = torch.rand(len(starts), generator=torch.Generator().manual_seed(n_steps))
    found = windows.least(scores, n_steps)
    for step in range(n_steps):
        inside = (starts <= step) & (step < starts + windows.length)
        assert found[step] == scores[inside].min()


@dataclass
class Doubling:
    """Reconstructs an item as its double."""

    windows: Windows | None

    def reconstructions_of(self, items: Sequence[Tensor]) -> list[Tensor]:
        if self.windows is not None:
            assert {len(item) for item in items} == {self.windows.length}
        return [2 * item for item in items]


@pytest.mark.parametrize("windows", [None, Windows(4, 1), Windows(4, 3)])
def test_reconstructions_have_the_shapes_of_the_series(windows: Windows | None) -> None:
    items = [torch.randn(n_steps, 3) for n_steps in (4, 700, 5)]
    for item, found in zip(items, reconstructions(Doubling(windows), items), strict=True):
        torch.testing.assert_close(found, 2 * item)
