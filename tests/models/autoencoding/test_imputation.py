import pytest
import torch

from models.autoencoding.imputation import fill_linearly, fill_with_mean, impute
from models.tasks.autoencoding import ImputeRequest
from tests.models.tiny import build_case


def test_gaps_start_at_the_mean_of_the_observed_elements() -> None:
    item = torch.tensor([[1.0, torch.nan], [3.0, torch.nan]])
    assert fill_with_mean(item, item.isnan()).tolist() == [[1.0, 2.0], [3.0, 2.0]]


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([1, None, None, 4], [1, 2, 3, 4]),
        ([None, None, 5, None], [5, 5, 5, 5]),
        ([0, None, 1, None, 3], [0, 0.5, 1, 2, 3]),
        ([None, None], [0, 0]),
        ([2, 2], [2, 2]),
    ],
)
def test_gaps_in_series_start_on_straight_lines(series: list[float | None], expected: list[float]) -> None:
    values = torch.tensor([[torch.nan if v is None else v, 0.0] for v in series], dtype=torch.float32)
    filled = fill_linearly(values, values.isnan())
    assert filled[:, 0].tolist() == pytest.approx(expected)
    assert (filled[:, 1] == 0).all()


@pytest.mark.parametrize(("case", "fill"), [("vanilla-0", fill_with_mean), ("recurrent-0", fill_linearly)])
def test_one_iteration_fills_the_gaps_from_the_reconstruction_of_the_start(case: str, fill: object) -> None:
    assert callable(fill)
    model = build_case(case)
    item = torch.rand(model.input_shape)
    missing = torch.rand(model.input_shape) < 0.4
    (reconstruction,) = model.reconstructions_of([fill(item.where(~missing, torch.nan), missing)])
    (result,) = impute(model, [ImputeRequest(item=item.where(~missing, torch.nan), iterations=1)])
    torch.testing.assert_close(result.imputed, torch.where(missing, reconstruction, item))
