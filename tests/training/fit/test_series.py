"""What the order and the windows of a series are found to be."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from models.codecs import TableSeriesCodec
from training.errors import DataError
from training.fit.options import FitOptions
from training.fit.order import find_time_column
from training.fit.prepared import Prepared
from training.fit.series import find_period, prepare_series
from training.fit.table_file import Table
from training.fit.training import Split

N = 900
MINUTE = np.timedelta64(1, "m")
START = np.datetime64("2026-01-01T00:00:00")


def table_of(**columns: Sequence[str | None]) -> Table:
    return Table(columns, range(2, 2 + len(next(iter(columns.values())))))


def times_of(places: Sequence[float]) -> list[str]:
    return [str(START + np.timedelta64(round(60 * place), "s")) for place in places]


def waves(n: int = N) -> list[str]:
    noise = np.random.default_rng(0).normal(size=n)
    return [f"{np.sin(2 * np.pi * k / 25) + 0.05 * noise[k]:.9f}" for k in range(n)]


def prepare(table: Table, **options: object) -> Prepared:
    return prepare_series(table, FitOptions(name="x", contamination="none", **options), no_scores)  # type: ignore[arg-type]


def no_scores(split: Split) -> Tensor:
    raise AssertionError("nothing is to be scored")


def test_the_period_is_the_lag_at_which_a_series_repeats() -> None:
    steps = np.arange(600)
    noise = np.random.default_rng(0).normal(size=(600, 2))
    wave = np.sin(2 * np.pi * steps / 37)[:, None] + 0.2 * noise
    assert find_period(wave) == pytest.approx(37, abs=1)
    assert find_period(noise) is None
    assert find_period(np.ones((600, 1))) is None


def test_times_that_rise_evenly_make_a_series() -> None:
    x = waves(60)
    assert find_time_column(table_of(x=x, at=times_of(range(60))), None) == "at"
    assert find_time_column(table_of(x=x, at=times_of([*range(50), *range(53, 63)])), None) == "at"
    random = np.random.default_rng(0).uniform(0, 600, 60).tolist()
    assert find_time_column(table_of(x=x, at=times_of(random)), None) is None
    assert find_time_column(table_of(x=x, at=times_of(sorted(random))), None) is None
    two = table_of(x=x, at=times_of([*range(30), *range(30)]), unit=["a"] * 30 + ["b"] * 30)
    assert find_time_column(two, None) is None
    assert find_time_column(two, "unit") == "at"


def test_a_series_is_split_over_its_whole_time() -> None:
    data = prepare(table_of(at=times_of(range(N)), x=waves()), time="at")
    codec = data.codec
    assert isinstance(codec, TableSeriesCodec)
    assert (codec.length, codec.stride) == (25, 3)
    assert codec.time is not None
    assert (codec.time.step_s, codec.time.is_irregular, codec.time.max_gap) == (60.0, False, 6)
    split = data.split
    assert split.training.shape[1:] == split.validation.shape[1:] == (25, 1)
    assert [len(part) for part in split.calibration] == [90, 90]
    assert split.n_calibrated == 180
    assert data.rows is not None
    whole = torch.from_numpy(data.rows.elements_of_columns({"x": waves()}, N, gaps=False)[0]).float()
    assert torch.equal(split.calibration[1], whole[-90:])
    seen = {tuple(window[0].tolist()) for window in split.training}
    assert not seen & {tuple(step.tolist()) for part in split.calibration for step in part}


def test_gaps_in_time_cut_the_series_and_short_ones_are_bridged() -> None:
    places = [place for place in range(N + 60) if place not in (100, 101) and not 500 <= place < 558]
    data = prepare(table_of(at=times_of(places), x=waves()), time="at", window=20)
    assert data.split.n_calibrated > 150
    assert all(part.isfinite().all() for part in data.split.calibration)
    n_steps = 500 + 402  # of the two segments, with the two steps that are bridged
    assert data.split.n_calibrated == pytest.approx(0.2 * n_steps, abs=4)


def test_rows_are_sorted_and_uneven_times_are_found() -> None:
    rng = np.random.default_rng(1)
    places = np.cumsum(rng.uniform(0.5, 1.5, N)).tolist()
    x, times = [f"{np.sin(2 * np.pi * place / 25):.4f}" for place in places], times_of(places)
    order = rng.permutation(N).tolist()
    data = prepare(table_of(at=[times[row] for row in order], x=[x[row] for row in order]), time="at")
    codec = data.codec
    assert isinstance(codec, TableSeriesCodec)
    assert codec.time is not None
    assert codec.time.is_irregular
    assert codec.length == pytest.approx(25, abs=2)


def test_series_of_several_keys_do_not_touch() -> None:
    n = 300
    units = [unit for unit in "abcdefgh" for _ in range(n)]
    x = [f"{10 * place + float(value):.4f}" for place in range(8) for value in waves(n)]
    data = prepare(table_of(unit=units, x=x), key="unit", window=20)
    assert data.rows is not None
    assert [column.name for column in data.rows.columns] == ["x"]
    for window in (*data.split.training, *data.split.calibration):
        assert window.max() - window.min() < 2.5


def test_labelled_steps_are_measured_and_not_trained_on() -> None:
    labels = ["1" if 300 <= row < 310 or row in (600, 601) else "0" for row in range(N)]
    x = ["9.0" if label == "1" else value for label, value in zip(labels, waves(), strict=True)]
    data = prepare(table_of(x=x, bad=labels), label="bad", window=20)
    assert data.n_anomalies == data.is_anomaly.sum() == 12
    assert [len(part) for part in data.anomalies] == [50, 42]
    assert data.rows is not None
    strange = float(data.rows.elements_of_columns({"x": ["9.0"]}, 1, gaps=False)[0][0, 0])
    assert data.split.training.max() < strange
    assert all(part.max() < strange for part in data.split.calibration)


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({"at": [*times_of(range(N - 1)), "soon"]}, {"time": "at"}, "line 901: 'soon' in the column 'at' is no time"),
        (
            {"at": times_of([*range(N - 1), 7])},
            {"time": "at"},
            "the lines 9 and 901 have the same time in 'at'; name the column that tells several series apart",
        ),
        ({}, {"time": "when"}, "there is no column 'when'"),
        ({}, {"window": 200}, "900 normal steps are too few for windows of 200; 4000 are enough"),
        ({}, {"false_alarm_rate": 0.001}, "cannot be promised from 180 held-out scores"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(
    columns: dict[str, list[str]], options: dict[str, object], words: str
) -> None:
    with pytest.raises(DataError) as caught:
        prepare(table_of(**columns, x=waves()), **options)
    assert words in str(caught.value)
