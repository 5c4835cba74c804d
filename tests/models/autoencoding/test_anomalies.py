import pytest
import torch

from models.autoencoding.anomalies import detect_anomalies
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
