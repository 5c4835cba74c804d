"""How far items have moved away from those that a model was fitted to."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.autoencoding.drift import MIN_ITEMS, WINDOW, DriftMonitor, DriftReference, stability_index
from models.codecs.table import TableCodec
from models.codecs.table.columns import BooleanColumn, CategoryColumn, DateColumn, NumberColumn
from models.codecs.table.histograms import bins_of, histograms_of, n_bins_of

CODEC = TableCodec(
    (
        NumberColumn("flow", True, centre=0.0, scale=1.0),
        BooleanColumn("open", False),
        CategoryColumn("mode", False, ("a", "b")),
        DateColumn("at", False, ("day",)),
    )
)
Rows = NDArray[np.float64]


def random_rows(n: int, seed: int, shift: float = 0.0) -> Rows:
    rng = np.random.default_rng(seed)
    is_gap = rng.random(n) < 0.2
    flow = np.where(is_gap, 0.0, rng.normal(size=n) + shift)
    mode = np.eye(3)[rng.integers(0, 2, n)]
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([flow, is_gap, rng.random(n) < 0.5, mode, np.sin(angle), np.cos(angle)])


def monitor(rows: Rows) -> DriftMonitor:
    found = histograms_of(CODEC, rows)
    edges, shares = (torch.from_numpy(part).float() for part in (found.edges, found.shares))
    return DriftMonitor(CODEC, DriftReference(edges=edges, shares=shares))


def test_bins_are_deciles_values_and_eighths_of_a_cycle_and_gaps_the_last() -> None:
    rows = random_rows(20_000, 0)
    found = histograms_of(CODEC, rows)
    assert [n_bins_of(column) for column in CODEC.columns] == [11, 2, 3, 8]
    assert found.shares.shape == (4, 11)
    np.testing.assert_allclose(found.shares.sum(1), 1)
    np.testing.assert_allclose(found.shares[0], [0.08] * 10 + [0.2], atol=0.01)
    np.testing.assert_allclose(found.shares[1, :3], [0.5, 0.5, 0], atol=0.02)
    np.testing.assert_allclose(found.shares[2, :4], [0.5, 0.5, 0, 0], atol=0.02)
    np.testing.assert_allclose(found.shares[3, :9], [0.125] * 8 + [0], atol=0.01)
    noon = np.array([[9.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, -1.0]])
    assert bins_of(CODEC, noon, found.edges).tolist() == [[9, 1, 2, 4]]


def test_the_index_is_that_of_its_definition() -> None:
    expected, found = np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.3, 0.5]])
    assert stability_index(expected, found)[0] == pytest.approx(0.6 * np.log(2.5))
    assert stability_index(expected, expected)[0] == 0
    assert np.isfinite(stability_index(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))).all()


def test_only_the_last_items_count_and_too_few_tell_nothing() -> None:
    watching = monitor(random_rows(5000, 0))
    watching.observe(random_rows(MIN_ITEMS - 1, 1), np.full(MIN_ITEMS - 1, 0.5))
    assert watching.read() is None
    watching.observe(random_rows(WINDOW, 2, shift=2.0), np.full(WINDOW, 0.001))
    drift = watching.read()
    assert drift is not None
    assert (drift.n_items, drift.low_p_share) == (WINDOW, 1.0)
    assert drift.stability_index["flow"] > 1
    assert max(drift.stability_index[name] for name in ("open", "mode", "at")) < 0.1
    watching.observe(random_rows(3 * WINDOW, 3), np.full(3 * WINDOW, 0.5))
    drift = watching.read()
    assert drift is not None
    assert (drift.n_items, drift.low_p_share) == (WINDOW, 0.0)
    assert drift.stability_index["flow"] < 0.1


def test_items_without_columns_have_p_values_alone() -> None:
    watching = DriftMonitor()
    watching.observe(None, np.r_[np.zeros(50), np.ones(150)])
    drift = watching.read()
    assert drift is not None
    assert (drift.n_items, drift.low_p_share, drift.stability_index) == (200, 0.25, {})
