"""What looks like anomalies in data that nobody has labelled."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from models.autoencoding.calibration import Calibration, percentile_for
from training.fit.options import FitOptions
from training.fit.outliers import outliers, without_suspects
from training.fit.rows import split_without_anomalies, suspicious_rows
from training.fit.series import prepare_series
from training.fit.table_file import Table
from training.fit.training import Split, fit_model
from training.metrics import anomaly_scores

N = 1200


def score(split: Split) -> Tensor:
    model = fit_model(split, false_alarm_rate=0.5, max_seconds=4, seed=0).model
    return anomaly_scores(model, split.calibration, model.scores[0])


def test_normal_scores_of_many_shapes_have_hardly_any_outliers() -> None:
    rng = np.random.default_rng(0)
    for scores in (rng.gamma(9, size=20_000), rng.lognormal(0, 0.5, 20_000), rng.uniform(1, 2, 20_000)):
        assert outliers(torch.from_numpy(scores), "auto").double().mean() < 2e-4


def test_far_scores_are_outliers_and_a_share_is_the_highest() -> None:
    scores = torch.cat([torch.rand(98) + 1, torch.tensor([50.0, 90.0])])
    assert outliers(scores, "auto").nonzero().flatten().tolist() == [98, 99]
    assert outliers(scores, 0.01).nonzero().flatten().tolist() == [99]


def calibration_of(scores: Tensor) -> Calibration:
    zero, ordered = torch.zeros(1), scores.sort().values
    return Calibration(
        scores={"combined": ordered, "mse": ordered.sqrt()},
        percentile=50,
        latent_mean=zero,
        latent_deviation=zero,
        mixture=None,
    )


def test_anomalies_among_held_out_items_do_not_raise_the_threshold() -> None:
    scores = torch.cat([torch.rand(1191, generator=torch.Generator().manual_seed(0)) + 1, 30 + torch.rand(8)])
    found, n_suspects = without_suspects(calibration_of(scores), 0.01)
    assert n_suspects == 8
    assert {name: len(each) for name, each in found.scores.items()} == {"combined": 1191, "mse": 1191}
    assert 1.9 < found.threshold("combined", found.percentile) < 2
    assert without_suspects(calibration_of(torch.cat([scores[:1191], scores[-3:]])), 0.01)[1] == 0
    raised = percentile_for(0.01, len(scores))
    assert calibration_of(scores).threshold("combined", raised) > 30


@pytest.mark.parametrize("tail", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("n", [99, 199, 400, 2000])
def test_normal_items_with_far_scores_keep_the_promised_rate(n: int, tail: float) -> None:
    rate, rng = 0.01, np.random.default_rng(0)
    exceeded = []
    for _ in range(300):
        scores = torch.from_numpy(np.exp(tail * rng.standard_t(3, size=n)))
        found, _ = without_suspects(calibration_of(scores), rate)
        threshold = found.threshold("combined", found.percentile)
        exceeded.append((torch.from_numpy(np.exp(tail * rng.standard_t(3, size=2000))) > threshold).double().mean())
    assert float(np.mean(exceeded)) <= 1.05 * rate


def test_strange_rows_are_left_out_and_others_are_not() -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(N, 1, generator=generator)
    rows = torch.cat([base, 2 * base, -base], 1) + 0.1 * torch.randn(N, 3, generator=generator)
    rows[::100, 1] *= -1
    rows[::100, 1] += 3
    found = suspicious_rows(rows, FitOptions(name="x"), score)
    assert found[::100].double().mean() > 0.7
    found[::100] = False
    assert found.double().mean() < 0.01
    assert not suspicious_rows(rows, FitOptions(name="x", contamination="none"), score).any()
    assert suspicious_rows(rows, FitOptions(name="x", contamination=0.02), score).sum() == pytest.approx(24, abs=1)


@pytest.mark.parametrize("n_rows", [N, 5100])
def test_strange_rows_that_are_alike_are_not_trained_on_but_give_scores(n_rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(n_rows, 6, generator=generator)
    alike = torch.arange(0, n_rows, n_rows // 10)[:10]
    rows[alike] = 4 + 0.05 * torch.randn(len(alike), 6, generator=generator)
    options = FitOptions(name="x")
    split, n_suspects = split_without_anomalies(rows, options, lambda half: torch.ones(len(half.calibration)))
    assert n_suspects == 0
    splits = [*split.folds, split] if split.folds else [split]
    for part in splits:
        assert max(float(part.training.amin(1).max()), float(part.validation.amin(1).max())) < 3
    calibrated = torch.stack([item for part in splits for item in part.calibration])
    assert (calibrated.amin(1) > 3).sum() == (10 if split.folds else pytest.approx(2, abs=2))
    everything, _ = split_without_anomalies(rows, replace(options, contamination="none"), score)
    assert (everything.training.amin(1) > 3).any()
    assert 0 < len(everything.training) - len(split.training) <= round(0.01 * n_rows)


def test_strange_steps_are_left_out_of_the_training_and_of_the_threshold() -> None:
    noise = np.random.default_rng(0).normal(size=N)
    values = np.sin(2 * np.pi * np.arange(N) / 20) + 0.1 * noise
    values[700] += 4
    values[350:390] = values[350]
    data = prepare_series(
        Table({"x": [f"{value:.6f}" for value in values]}, range(2, N + 2)), FitOptions(name="x"), score
    )
    assert data.rows is not None
    strange = float(data.rows.elements_of_columns({"x": [f"{values[700]:.6f}"]}, 1, gaps=False)[0][0, 0])
    assert 20 <= data.n_suspects <= 120
    assert all(float(part.max()) < strange - 1e-6 for part in (data.split.training, data.split.validation))
    stuck = (data.split.training.diff(dim=1).abs().amax((1, 2)) == 0).any()
    assert not stuck
