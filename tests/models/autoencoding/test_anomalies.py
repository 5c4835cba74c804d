from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.autoencoding.anomalies import detect_anomalies
from models.autoencoding.autoencoder import Autoencoder
from models.autoencoding.detector import fit_detector
from models.errors import InvalidItems
from models.tasks.autoencoding import DetectAnomaliesRequest
from tests.models.tiny import assert_same, build_case

ITEM = torch.linspace(0, 1, 16).view(1, 4, 4)


def test_a_score_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidItems, match="score is 'none'; this model has mse, mae"):
        detect_anomalies(build_case("vanilla-0"), [DetectAnomaliesRequest(item=ITEM, score="none")])


def test_a_batch_may_mix_scores() -> None:
    model = build_case("variational-0")
    names = ("mae", "reconstruction_probability", None, "mse", "mae")
    requests = [DetectAnomaliesRequest(item=ITEM * i / 5, score=name) for i, name in enumerate(names)]
    for request, batched in zip(requests, detect_anomalies(model, requests), strict=True):
        assert_same(batched, detect_anomalies(model, [request])[0])


def test_the_threshold_is_the_requests_or_a_percentile_of_the_normal_scores() -> None:
    model = build_case("vanilla-0")
    requests = [
        DetectAnomaliesRequest(item=ITEM, threshold=0.25, percentile=1.0),
        DetectAnomaliesRequest(item=ITEM, percentile=50.0),
        DetectAnomaliesRequest(item=ITEM),
    ]
    normal = model.calibration.scores["mse"].double()
    expected = [0.25, normal.quantile(0.5).item(), normal.quantile(0.9).item()]
    assert [result.threshold for result in detect_anomalies(model, requests)] == pytest.approx(expected)


@pytest.fixture
def compared() -> Autoencoder:
    """Return a model of series that compares those of the length it was trained on."""
    model = build_case("recurrent-0")
    assert isinstance(model, Autoencoder)
    normal = [series(7, phase) for phase in range(30)]
    with torch.inference_mode():
        model.use_detector(fit_detector(normal, normal, model))
    ascending = torch.linspace(0, 1, 20)
    model.calibration = replace(model.calibration, scores=dict.fromkeys(model.scores, ascending))
    return model


def series(n_steps: int, phase: float) -> Tensor:
    return (torch.arange(n_steps) + phase).sin()[:, None]


@pytest.mark.parametrize("n_steps", [1, 6, 8, 12])
def test_a_series_of_another_length_than_those_compared_with_is_refused(compared: Autoencoder, n_steps: int) -> None:
    message = f"the score 'combined' is for series of 7 steps, and this one has {n_steps}; for other lengths, the "
    with pytest.raises(InvalidItems, match=message + "parameter score may be one of mae, mse"):
        detect_anomalies(compared, [DetectAnomaliesRequest(item=series(n_steps, 0))])


def test_other_scores_take_series_of_all_lengths_in_one_batch(compared: Autoencoder) -> None:
    requests = [DetectAnomaliesRequest(item=series(n, 0), score="mae") for n in (1, 6, 12)]
    requests.append(DetectAnomaliesRequest(item=series(7, 0)))
    for request, batched in zip(requests, detect_anomalies(compared, requests), strict=True):
        assert_same(batched, detect_anomalies(compared, [request])[0])
